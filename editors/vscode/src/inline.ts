// Ghost text is the editor's own inline completion. Here is only what it lacks: that one is under
// way shows, who wrote it, Escape stops it, and one that came too late is asked for again.
import * as vscode from 'vscode';
import type { Middleware } from 'vscode-languageclient/node';
import { Ghost, type Cursor, type GhostItem } from './ghost.ts';
import { method, type InlineCompletionItem, type InlineCompletionReady } from './protocol.ts';

type Provide = NonNullable<Middleware['provideInlineCompletionItems']>;
type Send = NonNullable<Middleware['sendRequest']>;
type Answer = Awaited<ReturnType<Provide>>;

// Each with its range, as the server gives them.
function itemsOf(answer: Answer): GhostItem[] {
  const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
  return items.flatMap(({ insertText, range }) =>
    typeof insertText === 'string' && range ? [{ start: range.start, text: insertText }] : [],
  );
}

function cursorIn({ document, selection }: vscode.TextEditor): Cursor {
  const position = selection.active;
  return {
    uri: document.uri.toString(),
    version: document.version,
    position,
    from: ({ line, character }) =>
      document.getText(new vscode.Range(new vscode.Position(line, character), position)),
  };
}

export class Inline implements vscode.Disposable {
  private readonly open = new Set<vscode.CancellationTokenSource>();
  private readonly ghost = new Ghost();
  // What the client does not pass on of an answer, by the request's token.
  private readonly signatures = new WeakMap<vscode.CancellationToken, string>();
  private readonly listening = vscode.Disposable.from(
    vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
      if (textEditor === vscode.window.activeTextEditor) this.look(textEditor);
    }),
    vscode.window.onDidChangeActiveTextEditor(() => this.look(undefined)),
  );
  // Says that one is asked for; what it returns, that it came.
  begun: () => () => void = () => () => undefined;
  // Says who wrote the one that shows.
  signed: (by: string | undefined) => void = () => undefined;

  readonly send: Send = async (type, param, token, next) => {
    const answer = await next(type, param, token);
    const name = typeof type === 'string' ? type : type.method;
    if (token && name === method.inlineCompletion) {
      const { items } = (answer ?? {}) as { items?: InlineCompletionItem[] };
      const by = items?.[0]?.hearth?.by;
      if (by !== undefined) this.signatures.set(token, by);
    }
    return answer;
  };

  readonly provide: Provide = async (document, position, context, token, next) => {
    const stopping = new vscode.CancellationTokenSource();
    const stop = token.onCancellationRequested(() => stopping.cancel());
    const came = this.begun();
    this.open.add(stopping);
    try {
      const answer = await next(document, position, context, stopping.token);
      if (!stopping.token.isCancellationRequested) {
        this.came(document, answer, this.signatures.get(stopping.token));
      }
      return answer;
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

  private came(document: vscode.TextDocument, answer: Answer, by: string | undefined): void {
    const editor = vscode.window.activeTextEditor;
    if (editor?.document !== document) return;
    this.ghost.came(itemsOf(answer), by, cursorIn(editor));
    this.signed(this.ghost.by);
  }

  private look(editor: vscode.TextEditor | undefined): void {
    if (editor) this.ghost.moved(cursorIn(editor));
    else this.ghost.gone();
    this.signed(this.ghost.by);
  }

  dispose(): void {
    this.listening.dispose();
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
