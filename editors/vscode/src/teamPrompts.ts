// The prompts of a repository's team (.hearth/prompts): shown, and used once a person has said so
// about just that text. The server remembers what was confirmed, and uses nothing else.
import * as vscode from 'vscode';
import { messageOf, type Connection } from './connection.ts';
import { sessionCommand } from './protocol.ts';
import { question, shownText, stateOf, type TeamFolder } from './teamPromptsText.ts';

const scheme = 'hearth-prompts';
const lookAfter = 500; // milliseconds behind the last job that began

export class TeamPrompts implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly connection: Connection;
  private readonly texts = new Map<string, string>(); // by URI
  private readonly told = new Set<string>(); // hashes of changed prompts that a person was told of
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly stops: vscode.Disposable[];
  private timer: NodeJS.Timeout | undefined;
  readonly onDidChange = this.changed.event;

  constructor(connection: Connection) {
    this.connection = connection;
    const soon = (): void => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.look(), lookAfter);
    };
    // When it matters: no watcher of files sees all changes, in remote folders least of all.
    const stop = connection.jobs.onChange(({ before, delta }) => {
      if (before === undefined && delta === undefined) soon();
    });
    this.stops = [
      vscode.workspace.registerTextDocumentContentProvider(scheme, this),
      new vscode.Disposable(stop),
      connection.onAnew(soon),
      this.changed,
    ];
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const each of this.stops) each.dispose();
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? '';
  }

  // The command: shows all of them, and asks.
  async apply(): Promise<void> {
    const folders = (await this.folders()).filter(({ hash, ignored }) => hash !== '' || ignored.length > 0);
    const [first] = folders;
    if (!first) {
      void vscode.window.showInformationMessage(
        'hearth: the team of this workspace has no prompts: it would write them in .hearth/prompts/NAME.md.',
      );
      return;
    }
    if (folders.length === 1) return this.review(first);
    const items = folders.map((folder) => ({ label: this.nameOf(folder), folder }));
    const chosen = await vscode.window.showQuickPick(items, { title: "hearth: The Team's Prompts" });
    if (chosen) await this.review(chosen.folder);
  }

  // What was applied and has changed since is asked about again, once.
  private async look(): Promise<void> {
    if (!this.connection.has(sessionCommand('teamPrompts'))) return;
    try {
      for (const folder of await this.folders()) {
        if (stateOf(folder) !== 'changed' || this.told.has(folder.hash)) continue;
        this.told.add(folder.hash);
        void this.tellChanged(folder);
      }
    } catch (error) {
      this.connection.output.debug(`the team's prompts: ${messageOf(error)}`);
    }
  }

  private async tellChanged(folder: TeamFolder): Promise<void> {
    const chosen = await vscode.window.showInformationMessage(
      `hearth: the prompts of the team in ${this.nameOf(folder)} have changed, and are not used until you apply them again.`,
      'Look at Them',
    );
    if (chosen !== undefined) await this.apply();
  }

  private async review(folder: TeamFolder): Promise<void> {
    const name = this.nameOf(folder);
    const uri = vscode.Uri.from({ scheme, path: `/${name}/Prompts of the Team.md` });
    this.texts.set(uri.toString(), shownText(name, folder));
    this.changed.fire(uri);
    await vscode.window.showTextDocument(uri, { preview: true });
    const state = stateOf(folder);
    if (state === 'none') return;
    const words = question(name, folder, vscode.workspace.isTrusted);
    const [yes, no, hash] =
      state === 'used' ? ['Stop Using Them', 'Go On Using Them', ''] : ['Apply', 'Not Now', folder.hash];
    // A notification would be gone before all of it is read, and a dialog in its way.
    const chosen = await vscode.window.showQuickPick([{ label: yes, detail: words }, { label: no }], {
      title: "hearth: The Team's Prompts",
      ignoreFocusOut: true,
    });
    if (chosen?.label === yes) await this.use(folder, hash);
  }

  private async use(folder: TeamFolder, hash: string): Promise<void> {
    await this.connection.session('useTeamPrompts', { folder: folder.folder, hash });
    const text = hash === '' ? 'not used any more' : 'in use';
    vscode.window.setStatusBarMessage(`hearth: the team's prompts are ${text}`, 5000);
  }

  private async folders(): Promise<TeamFolder[]> {
    return (await this.connection.session<{ folders: TeamFolder[] }>('teamPrompts', {})).folders;
  }

  private nameOf({ folder }: TeamFolder): string {
    const uri = this.connection.codeUri(folder);
    return vscode.workspace.getWorkspaceFolder(uri)?.name ?? uri.path;
  }
}
