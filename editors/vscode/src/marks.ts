// How far a job is, in a few words beside the code that it is about: an edit shows nothing else in
// the editor until it is there.
import * as vscode from 'vscode';
import type { Connection } from './connection.ts';
import { markText } from './statusText.ts';

export function markRunning(connection: Connection): vscode.Disposable {
  const kind = vscode.window.createTextEditorDecorationType({
    after: { margin: '0 0 0 3em', color: new vscode.ThemeColor('editorCodeLens.foreground') },
    isWholeLine: true,
  });
  let timer: NodeJS.Timeout | undefined;
  let shown = false;
  const draw = (): void => {
    timer = undefined;
    const marks = new Map<string, vscode.DecorationOptions[]>();
    for (const job of connection.jobs.running()) {
      const { uri, range } = job.state;
      if (uri === '' || !range) continue;
      const name = connection.codeUri(uri).toString();
      const { line } = range.start;
      const options = {
        range: new vscode.Range(line, 0, line, Number.MAX_SAFE_INTEGER),
        renderOptions: { after: { contentText: markText(job) } },
      };
      marks.set(name, [...(marks.get(name) ?? []), options]);
    }
    if (marks.size === 0 && !shown) return;
    shown = marks.size > 0;
    for (const editor of vscode.window.visibleTextEditors) {
      editor.setDecorations(kind, marks.get(editor.document.uri.toString()) ?? []);
    }
  };
  const soon = (): void => {
    timer ??= setTimeout(draw, 50);
  };
  const stop = connection.jobs.onChange(({ delta }) => {
    if (delta === undefined) soon();
  });
  return vscode.Disposable.from(
    kind,
    vscode.window.onDidChangeVisibleTextEditors(soon),
    new vscode.Disposable(() => {
      clearTimeout(timer);
      stop();
    }),
  );
}
