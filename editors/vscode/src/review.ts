// Reviewing: the changes of jobs that wait, and code of an answer that is to replace the code in
// question. Both become proposals that a preview shows.
import * as vscode from 'vscode';
import type { Connection } from './connection.ts';
import type { Job } from './jobs.ts';
import { diffIn } from './markdown.ts';
import { applyPatch, fitted, isOwnFile, parsePatch, placeOf } from './patch.ts';
import { Previews, replaceText, type Proposal } from './previews.ts';

interface Asked {
  text: string; // what the range of a job held when it was asked
  offset: number;
}

export class Review implements vscode.Disposable {
  readonly previews = new Previews();
  private readonly asked = new Map<number, Asked>();
  private readonly offered = new Set<number>(); // jobs whose change was shown by itself
  private readonly stop: () => void;
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
    this.stop = connection.jobs.onChange(({ job, before, delta }) => {
      if (delta !== undefined) return;
      if (before === undefined) this.remember(job);
      if (job.state.state !== 'waiting') {
        this.offered.delete(job.id);
        if (before === 'waiting') void this.previews.closeAll(`${keyOf(job.id)}.`);
      } else if (!this.offered.has(job.id) && !job.partial) {
        this.offered.add(job.id);
        if (!job.state.batch && before !== undefined && before !== 'waiting') void this.show(job.id, true);
      }
    });
  }

  dispose(): void {
    this.stop();
    this.previews.dispose();
  }

  // Of a job, or of all that wait in a batch. False: there is no change that can be shown.
  async show(id: number, preserveFocus: boolean): Promise<boolean> {
    const jobs = this.connection.jobs
      .all()
      .filter((job) => (job.id === id || job.state.batch?.id === id) && job.state.state === 'waiting');
    const proposals = jobs.flatMap((job) => this.proposals(job));
    const [first] = proposals;
    if (!first) return false;
    if (proposals.length > 1) {
      const { batch, title } = jobs[0]?.state ?? { batch: undefined, title: '' };
      await this.previews.showAll(`${batch?.title ?? title} (hearth)`, proposals);
    } else {
      await this.previews.show(first, preserveFocus);
    }
    return true;
  }

  // One for each file; applying any makes the whole change.
  private proposals(job: Job): Proposal[] {
    const diff = diffIn(job.text);
    if (diff === undefined || job.state.uri === '') return [];
    const own = this.connection.codeUri(job.state.uri);
    const files = parsePatch(diff);
    return files.map((file, index) => ({
      key: `${keyOf(job.id)}.${index}`,
      title: `${job.state.title} (hearth)`,
      target: isOwnFile(file, files, own.path) ? own : uriOfPath(file.path, own),
      isNew: file.isNew,
      proposed: (now) => applyPatch(now, file.hunks),
      accept: async () => {
        await this.connection.session('apply', { job: job.id });
      },
      discard: async () => {
        await this.connection.session('dismiss', { job: job.id });
      },
    }));
  }

  // Code of an answer in place of what the job was asked about; where that is not known, in place
  // of the selection.
  async showBlock(id: number, code: string): Promise<void> {
    const job = this.connection.jobs.find(id);
    const asked = this.asked.get(id);
    const editor = lastEditor();
    const target =
      job && job.state.uri !== '' && asked ? this.connection.codeUri(job.state.uri) : editor?.document.uri;
    if (!target) throw new Error('Open the file that this code is for.');
    const document = await vscode.workspace.openTextDocument(target);
    const selected = editor?.document === document && !editor.selection.isEmpty ? editor.selection : undefined;
    const old = selected
      ? { text: document.getText(selected), offset: document.offsetAt(selected.start) }
      : asked;
    if (!old || old.text.trim() === '') throw new Error('Select the code that this one is to replace.');
    const proposed = (now: string): string | undefined => {
      const at = placeOf(now, old.text, old.offset);
      if (at === undefined) return undefined;
      return now.slice(0, at) + fitted(code, old.text) + now.slice(at + old.text.length);
    };
    if (proposed(document.getText()) === undefined) {
      throw new Error('The code that was asked about is not there any more: select what to replace.');
    }
    const key = `block-${id}`;
    await this.previews.show(
      {
        key,
        title: `${job?.state.title ?? 'Answer'} (hearth)`,
        target,
        isNew: false,
        proposed,
        accept: async () => {
          const after = proposed(document.getText());
          if (after === undefined) throw new Error('The code in question has changed meanwhile.');
          await replaceText(target, after);
          await this.previews.close(key);
        },
        discard: () => this.previews.close(key),
      },
      false,
    );
  }

  // What the range holds now: the document is the one that the server was told of.
  private remember(job: Job): void {
    const { uri, range, edits } = job.state;
    if (!range || edits || uri === '') return;
    const target = this.connection.codeUri(uri).toString();
    const document = vscode.workspace.textDocuments.find((each) => each.uri.toString() === target);
    if (!document) return;
    const { start, end } = range;
    const at = new vscode.Range(start.line, start.character, end.line, end.character);
    this.asked.set(job.id, { text: document.getText(at), offset: document.offsetAt(at.start) });
  }
}

const keyOf = (job: number): string => `job-${job}`;

// The server names files below their folder of the workspace: that of `own`, else the first.
function uriOfPath(path: string, own: vscode.Uri): vscode.Uri {
  const folder = vscode.workspace.getWorkspaceFolder(own) ?? vscode.workspace.workspaceFolders?.[0];
  return vscode.Uri.joinPath(folder?.uri ?? vscode.Uri.joinPath(own, '..'), path);
}

// A webview that has the focus leaves no active editor.
let last: vscode.TextEditor | undefined;
export function followEditors(): vscode.Disposable {
  last = vscode.window.activeTextEditor;
  return vscode.window.onDidChangeActiveTextEditor((editor) => {
    if (editor && ['file', 'untitled'].includes(editor.document.uri.scheme)) last = editor;
  });
}
export function lastEditor(): vscode.TextEditor | undefined {
  const visible = vscode.window.visibleTextEditors;
  const active = vscode.window.activeTextEditor;
  if (active && ['file', 'untitled'].includes(active.document.uri.scheme)) return active;
  return (
    (last && visible.includes(last) ? last : undefined) ??
    visible.find(({ document }) => document === last?.document) ??
    visible.find(({ document }) => ['file', 'untitled'].includes(document.uri.scheme))
  );
}
