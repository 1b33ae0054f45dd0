// Changes that wait for a person, each beside the file as it is now: the editor of differences, and
// what accepting or discarding one does. Follows the file while a person types on in it.
import * as vscode from 'vscode';
import { replacement } from './patch.ts';
import { Settled } from './settled.ts';

export interface Proposal {
  key: string; // one preview each
  title: string;
  target: vscode.Uri;
  isNew: boolean; // there is no such file yet: it is shown beside nothing
  // What the file would be; undefined: the change does not fit it any more.
  proposed(now: string): string | undefined;
  accept(): Promise<void>;
  discard(): Promise<void>;
}

const scheme = 'hearth-preview';
const settledAfter = 1500; // milliseconds without a keystroke

export class Previews implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly proposals = new Map<string, Proposal>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly unfit = new Settled(settledAfter, sayUnfit);
  private readonly together = new Map<string, string>(); // key → title of the editor of several
  private readonly stops: vscode.Disposable[];
  private timer: NodeJS.Timeout | undefined;
  readonly onDidChange = this.changed.event;

  constructor() {
    this.stops = [
      vscode.workspace.registerTextDocumentContentProvider(scheme, this),
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.followSoon(document.uri)),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => {
        for (const tab of closed) {
          const key = keyOf(tab);
          if (key !== undefined) this.forget(key);
        }
      }),
      this.changed,
    ];
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.unfit.dispose();
    for (const each of this.stops) each.dispose();
  }

  async show(proposal: Proposal, preserveFocus: boolean): Promise<void> {
    this.proposals.set(proposal.key, proposal);
    this.tellContext();
    const uri = uriOf(proposal);
    this.changed.fire(uri);
    await vscode.commands.executeCommand('vscode.diff', sideBefore(proposal), uri, proposal.title, {
      preserveFocus,
      preview: true,
      ...(preserveFocus && vscode.window.activeTextEditor
        ? { viewColumn: vscode.ViewColumn.Beside }
        : {}),
    } satisfies vscode.TextDocumentShowOptions);
  }

  // Several files in one editor.
  async showAll(title: string, proposals: Proposal[]): Promise<void> {
    for (const { key } of proposals) this.together.set(key, title);
    for (const proposal of proposals) this.proposals.set(proposal.key, proposal);
    this.tellContext();
    const resources = proposals.map((each) => [
      each.target,
      each.isNew ? undefined : each.target,
      uriOf(each),
    ]);
    await vscode.commands.executeCommand('vscode.changes', title, resources);
  }

  // Of the editor that a command was chosen in, else of the one that a person looks at, else the
  // last one that was opened.
  chosen(uri?: vscode.Uri): Proposal | undefined {
    const key = uri?.scheme === scheme ? keyIn(uri) : activeKey();
    return this.proposals.get(key ?? '') ?? [...this.proposals.values()].at(-1);
  }

  async close(key: string): Promise<void> {
    this.forget(key);
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    await vscode.window.tabGroups.close(
      tabs.filter((tab) => keyOf(tab) === key),
      true,
    );
  }

  // Of what has been decided: all whose key begins so, and editors of several of which none is left.
  async closeAll(prefix: string): Promise<void> {
    const titles = new Set<string>();
    for (const key of [...this.proposals.keys()].filter((each) => each.startsWith(prefix))) {
      const title = this.together.get(key);
      if (title !== undefined) titles.add(title);
      this.together.delete(key);
      await this.close(key);
    }
    const left = new Set(this.together.values());
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    const empty = [...titles].filter((title) => !left.has(title));
    const done = tabs.filter((tab) => empty.some((title) => tab.label.startsWith(title)));
    await vscode.window.tabGroups.close(done, true);
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const proposal = this.proposals.get(keyIn(uri));
    if (!proposal) return '';
    const now = proposal.isNew
      ? ''
      : (await vscode.workspace.openTextDocument(proposal.target)).getText();
    const proposed = proposal.proposed(now);
    this.unfit.set(proposal.key, proposed === undefined);
    return proposed ?? now;
  }

  // Once for what is typed in one go.
  private followSoon(target: vscode.Uri): void {
    const name = target.toString();
    if (![...this.proposals.values()].some((each) => each.target.toString() === name)) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.follow(target), 100);
  }

  private follow(target: vscode.Uri): void {
    for (const proposal of this.proposals.values()) {
      if (proposal.target.toString() === target.toString()) this.changed.fire(uriOf(proposal));
    }
  }

  private forget(key: string): void {
    this.proposals.delete(key);
    this.unfit.forget(key);
    this.tellContext();
  }

  private tellContext(): void {
    const reviewing = this.proposals.size > 0;
    void vscode.commands.executeCommand('setContext', 'hearth.reviewing', reviewing);
  }
}

function sayUnfit(): void {
  void vscode.window.setStatusBarMessage(
    'hearth: the change does not fit the text as it is now; applying it merges it',
    10_000,
  );
}

// The path of the file itself: another one would look like a new name for it.
function uriOf({ target, key }: Proposal): vscode.Uri {
  return target.with({ scheme, query: key, fragment: '' });
}
const keyIn = (uri: vscode.Uri): string => uri.query;

// Without a key there is no proposal, and no text.
const sideBefore = (proposal: Proposal): vscode.Uri =>
  proposal.isNew ? uriOf({ ...proposal, key: '' }) : proposal.target;

function keyOf(tab: vscode.Tab | undefined): string | undefined {
  const input = tab?.input;
  if (!(input instanceof vscode.TabInputTextDiff) || input.modified.scheme !== scheme) {
    return undefined;
  }
  return keyIn(input.modified);
}
const activeKey = (): string | undefined => keyOf(vscode.window.tabGroups.activeTabGroup.activeTab);

// Makes the change of a text that is open; throws where the editor refuses it.
export async function replaceText(target: vscode.Uri, after: string): Promise<void> {
  const document = await vscode.workspace.openTextDocument(target);
  const { start, end, text } = replacement(document.getText(), after);
  const edit = new vscode.WorkspaceEdit();
  edit.replace(
    target,
    new vscode.Range(document.positionAt(start), document.positionAt(end)),
    text,
  );
  if (!(await vscode.workspace.applyEdit(edit))) throw new Error('the editor refused the change');
}
