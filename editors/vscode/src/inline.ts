// Ghost text is the editor's own inline completion. Here is only what it lacks: that one is under
// way shows, Escape stops it, and one that came too late is asked for again.
import * as vscode from 'vscode';
import type { Middleware } from 'vscode-languageclient/node';
import type { InlineCompletionReady } from './protocol.ts';

type Provide = NonNullable<Middleware['provideInlineCompletionItems']>;

export class Inline {
  private readonly open = new Set<vscode.CancellationTokenSource>();
  // Says that one is asked for; what it returns, that it came.
  begun: () => () => void = () => () => undefined;

  readonly provide: Provide = async (document, position, context, token, next) => {
    const stopping = new vscode.CancellationTokenSource();
    const stop = token.onCancellationRequested(() => stopping.cancel());
    const came = this.begun();
    this.open.add(stopping);
    try {
      return await next(document, position, context, stopping.token);
    } finally {
      this.open.delete(stopping);
      came();
      stop.dispose();
      stopping.dispose();
    }
  };

  // Whether there was one.
  stop(): boolean {
    const any = this.open.size > 0;
    for (const each of this.open) each.cancel();
    return any;
  }
}

export function askAgain(uri: vscode.Uri, ready: InlineCompletionReady): void {
  const editor = vscode.window.activeTextEditor;
  if (editor?.document.uri.toString() !== uri.toString()) return;
  const { line, character } = ready.position;
  if (editor.document.version !== ready.version) return;
  if (!editor.selection.active.isEqual(new vscode.Position(line, character))) return;
  void vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
}
