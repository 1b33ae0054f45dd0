// The extension's own commands. None has the name of one of the server's, which the client
// registers: those begin with hearth.server. and hearth.session.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as vscode from 'vscode';
import type { Actions } from './actions.ts';
import type { Answers } from './answers.ts';
import { writeCommitMessage } from './commitMessage.ts';
import { messageOf, type Connection } from './connection.ts';
import type { Inline } from './inline.ts';
import { applies, hasEnded, runs } from './jobs.ts';
import { jobOf } from './jobsView.ts';
import type { BlockVerb, JobVerb } from './pageMessages.ts';
import type { Verb } from './protocol.ts';
import { lastEditor, type Review } from './review.ts';
import type { StatusBar } from './statusBar.ts';
import type { TeamPrompts } from './teamPrompts.ts';
import { ask, askJson } from './tool.ts';

export interface Parts {
  connection: Connection;
  actions: Actions;
  answers: Answers;
  review: Review;
  status: StatusBar;
  inline: Inline;
  team: TeamPrompts;
}

export const walkthrough = 'hearth.hearth#hearth.start';

export function complain(error: unknown): void {
  void vscode.window.showErrorMessage(`hearth: ${messageOf(error)}`);
}

export class Commands {
  private readonly pinned = new Set<string>();
  private readonly parts: Parts;

  constructor(parts: Parts) {
    this.parts = parts;
  }

  register(): vscode.Disposable[] {
    const { actions, answers, connection } = this.parts;
    const table: Record<string, (...args: unknown[]) => unknown> = {
      'hearth.menu': () => this.menu(),
      'hearth.chooseAction': () => actions.menu(),
      'hearth.askHearth': () => answers.begin(actions.selection()),
      'hearth.attachSelection': () => {
        answers.addAttached(actions.selection());
        answers.reveal(false);
      },
      'hearth.editFiles': () => actions.editFiles(),
      'hearth.runOnMatchingFiles': () => actions.runOnFiles(),
      'hearth.applyTeamPrompts': () => this.parts.team.apply(),
      'hearth.pinFile': (uri) => this.pin(uri, true),
      'hearth.unpinFile': (uri) => this.pin(uri, false),
      'hearth.snooze': () => this.snooze(),
      'hearth.stop': () => this.stop(),
      'hearth.commitMessage': (chosen) =>
        vscode.window.withProgress({ location: vscode.ProgressLocation.SourceControl }, () =>
          writeCommitMessage(connection, chosen),
        ),
      'hearth.followJob': (node) => this.follow(jobOf(node)),
      'hearth.previewJob': (node) => this.preview(jobOf(node)),
      'hearth.showJobPrompt': (node) => this.showPrompt(jobOf(node) ?? connection.jobs.all()[0]?.id),
      'hearth.copyJobAnswer': (node) => this.copyAnswer(jobOf(node)),
      'hearth.acceptPreview': (uri) => this.settle('accept', uri),
      'hearth.discardPreview': (uri) => this.settle('discard', uri),
      'hearth.showJobs': () => vscode.commands.executeCommand('hearth.jobs.focus'),
      'hearth.showAnswers': () => answers.reveal(false),
      'hearth.openAnswersInTab': () => answers.openTab(),
      'hearth.restart': () => connection.start(),
      'hearth.showOutput': () => connection.output.show(),
      'hearth.showDaemonLog': () => this.showDaemonLog(),
      'hearth.openConfiguration': () => this.openConfiguration(),
      'hearth.openSettings': () =>
        vscode.commands.executeCommand('workbench.action.openSettings', '@ext:hearth.hearth'),
      'hearth.walkthrough': () =>
        vscode.commands.executeCommand('workbench.action.openWalkthrough', walkthrough, false),
    };
    for (const action of ['explain', 'ask', 'edit', 'review', 'document', 'fix', 'tests'] as const) {
      table[`hearth.${action}`] = () => actions.run(action);
    }
    for (const verb of ['pause', 'resume', 'cancel', 'retry', 'apply', 'dismiss'] as const) {
      table[`hearth.${verb}Job`] = (node) => this.tell(verb, jobOf(node));
    }
    return Object.entries(table).map(([name, run]) =>
      vscode.commands.registerCommand(name, async (...args: unknown[]) => {
        try {
          await run(...args);
        } catch (error) {
          complain(error);
        }
      }),
    );
  }

  // ── Jobs ─────────────────────────────────────────────────────────────────────────────────────

  // Without a number, the youngest that it can be said of.
  async tell(verb: Verb, id = this.parts.connection.jobs.youngestFor(verb)?.id): Promise<void> {
    if (id === undefined) throw new Error(`There is no job to ${verb}.`);
    await this.parts.connection.session(verb, { job: id });
  }

  async ofJob(verb: JobVerb, job: number): Promise<void> {
    if (verb === 'preview') return this.preview(job);
    if (verb === 'prompt') return this.showPrompt(job);
    if (verb === 'copy') return this.copyAnswer(job);
    await this.tell(verb, job);
  }

  async ofBlock(what: BlockVerb, job: number, code: string): Promise<void> {
    if (what === 'copy') return vscode.env.clipboard.writeText(code);
    if (what === 'apply') return this.parts.review.showBlock(job, code);
    const editor = lastEditor();
    if (!editor) throw new Error('Open the file that this code is for.');
    await editor.edit((edit) => edit.replace(editor.selection, code.replace(/\n$/, '')));
    await vscode.window.showTextDocument(editor.document, editor.viewColumn);
  }

  // What a person waits for: what was asked last, else a completion. Batches in the background go on.
  async stop(): Promise<void> {
    const { connection, inline } = this.parts;
    const [job] = connection.jobs.running();
    if (job) return this.tell('cancel', job.id);
    if (!connection.stopAsking()) inline.stop();
  }

  private async follow(id: number | undefined): Promise<void> {
    const { connection, answers } = this.parts;
    const job = id === undefined ? connection.jobs.all()[0] : connection.jobs.find(id);
    if (!job) throw new Error('There is no such job (any more).');
    answers.openJob(job.id, job.state.title);
  }

  private async preview(id = this.parts.connection.jobs.youngestFor('apply')?.id): Promise<void> {
    if (id === undefined) throw new Error('No change waits for you.');
    await this.fetchText(id);
    const { connection, review } = this.parts;
    // The change of an editor that is gone comes with the first message of a job that this window
    // takes over, which it does within a second or two.
    for (let tries = 0; tries < 30; tries += 1) {
      if (await review.show(id, false)) return;
      if (connection.jobs.find(id)?.state.state !== 'waiting') break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await this.follow(id);
  }

  private async settle(what: 'accept' | 'discard', uri: unknown): Promise<void> {
    const chosen = uri instanceof vscode.Uri ? uri : undefined;
    const proposal = this.parts.review.previews.chosen(chosen);
    if (proposal) return proposal[what]();
    await this.tell(what === 'accept' ? 'apply' : 'dismiss');
  }

  // Jobs of other sessions are known by their state alone.
  async fetchText(id: number): Promise<void> {
    const { connection } = this.parts;
    const known = connection.jobs.find(id);
    if (known && !known.partial) return;
    const found = connection.find();
    if ('missing' in found) return;
    try {
      const told = await askJson(found.program, 'jobs', 'show', String(id));
      connection.jobs.heardText(id, told);
    } catch (error) {
      connection.output.debug(`job ${id}: ${messageOf(error)}`);
    }
  }

  private async copyAnswer(id: number | undefined): Promise<void> {
    const job = id === undefined ? undefined : this.parts.connection.jobs.find(id);
    if (!job) throw new Error('There is no such job (any more).');
    await this.fetchText(job.id);
    await vscode.env.clipboard.writeText(job.text);
  }

  private async showPrompt(id: number | undefined): Promise<void> {
    if (id === undefined) throw new Error('There was no job yet.');
    try {
      await this.parts.connection.session('showPrompt', { job: id });
    } catch {
      // One of another session: the program tells of it.
      const content = await ask(this.program(), 'jobs', 'show', String(id), '--prompt');
      await vscode.window.showTextDocument(
        await vscode.workspace.openTextDocument({ content, language: 'plaintext' }),
      );
    }
  }

  private program(): string {
    const found = this.parts.connection.find();
    if ('missing' in found) throw new Error(found.missing);
    return found.program;
  }

  // ── The session ──────────────────────────────────────────────────────────────────────────────

  private async pin(chosen: unknown, pinned: boolean): Promise<void> {
    const uri = chosen instanceof vscode.Uri ? chosen : vscode.window.activeTextEditor?.document.uri;
    if (!uri) throw new Error('Open the file that is to be pinned.');
    const { connection } = this.parts;
    const told = await connection.session<{ pinned: string[] }>('pin', {
      uri: connection.uriOf(uri),
      pinned,
    });
    this.pinned.clear();
    for (const each of told.pinned) this.pinned.add(each);
    const names = told.pinned.map((each) => vscode.workspace.asRelativePath(connection.codeUri(each)));
    const text = names.length === 0 ? 'no file is pinned' : `pinned: ${names.join(', ')}`;
    vscode.window.setStatusBarMessage(`hearth: ${text}`, 5000);
  }

  // A server that was started anew knows of nothing that was said for the session.
  async sayAgain(): Promise<void> {
    const { connection, status } = this.parts;
    const quiet = (said: Promise<unknown>): Promise<unknown> => said.catch(() => undefined);
    for (const uri of this.pinned) await quiet(connection.session('pin', { uri, pinned: true }));
    const minutes = Math.ceil((status.snoozedUntil - Date.now()) / 60_000);
    if (minutes > 0) await quiet(connection.session('snooze', { minutes }));
  }

  private async snooze(): Promise<void> {
    const { connection, status } = this.parts;
    const items = [5, 15, 30, 60, 240].map((minutes) => ({
      label: minutes < 60 ? `${minutes} minutes` : minutes === 60 ? '1 hour' : `${minutes / 60} hours`,
      minutes,
    }));
    if (status.snoozedUntil > Date.now()) items.unshift({ label: 'Complete again now', minutes: 0 });
    const chosen = await vscode.window.showQuickPick(items, {
      title: 'hearth: Snooze',
      placeHolder: 'No completion unasked for …',
    });
    if (!chosen) return;
    await connection.session('snooze', { minutes: chosen.minutes });
    status.snoozedUntil = chosen.minutes === 0 ? 0 : Date.now() + chosen.minutes * 60_000;
    status.update();
  }

  private async showDaemonLog(): Promise<void> {
    const { log } = await askJson(this.program(), 'status');
    if (typeof log !== 'string') throw new Error('There is no log.');
    await vscode.window.showTextDocument(vscode.Uri.file(log));
  }

  // Where there is none yet, every key with its comment, to be saved there.
  private async openConfiguration(): Promise<void> {
    const folder = process.env['XDG_CONFIG_HOME'] || path.join(os.homedir(), '.config');
    const file = path.join(folder, 'hearth', 'config.toml');
    if (fs.existsSync(file)) {
      await vscode.window.showTextDocument(vscode.Uri.file(file));
      return;
    }
    const keys = await ask(this.program(), 'daemon', '--print-config');
    const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file).with({ scheme: 'untitled' }));
    const editor = await vscode.window.showTextDocument(document);
    await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), keys));
  }

  // ── The menu behind the status bar's item ────────────────────────────────────────────────────

  private async menu(): Promise<void> {
    const { connection, status } = this.parts;
    type Item = vscode.QuickPickItem & { command?: string; job?: number | undefined };
    const items: Item[] = [];
    const add = (label: string, command: string, description = '', job?: number): void => {
      items.push({ label, command, description, job });
    };
    const jobs = connection.jobs.all();
    const first = (verb: Verb) => jobs.find((job) => applies(verb, job.state.state));
    if (connection.state === 'missing') add('$(book) How to install hearth', 'hearth.walkthrough');
    if (connection.state !== 'running') add('$(debug-restart) Start again', 'hearth.restart');
    const running = connection.jobs.running()[0] ?? jobs.find((job) => runs(job.state.state));
    if (running) {
      const { title, batch } = running.state;
      const id = batch?.id ?? running.id;
      add('$(debug-stop) Stop', 'hearth.cancelJob', batch?.title ?? title, id);
      add('$(debug-pause) Pause', 'hearth.pauseJob', batch?.title ?? title, id);
      add('$(eye) Follow', 'hearth.followJob', title, running.id);
    }
    const waiting = first('apply');
    if (waiting) add('$(git-pull-request) Review the change', 'hearth.previewJob', waiting.state.title, waiting.id);
    const paused = first('resume');
    if (paused) add('$(debug-continue) Resume', 'hearth.resumeJob', paused.state.title, paused.id);
    add('$(comment-discussion) Ask hearth…', 'hearth.askHearth');
    add('$(lightbulb) Choose an action…', 'hearth.chooseAction');
    add('$(files) Run on matching files…', 'hearth.runOnMatchingFiles');
    const ended = jobs.filter((job) => hasEnded(job.state.state)).length;
    add('$(list-tree) Jobs', 'hearth.showJobs', `${jobs.length - ended} open, ${ended} ended`);
    add('$(comment) Answers', 'hearth.showAnswers');
    add('$(pin) Pin this file to the context', 'hearth.pinFile');
    const snoozed = status.snoozedUntil > Date.now();
    add(snoozed ? '$(bell) Snoozed…' : '$(bell-slash) Snooze…', 'hearth.snooze');
    add('$(settings-gear) Settings', 'hearth.openSettings');
    add('$(settings) Configuration of the daemon (config.toml)', 'hearth.openConfiguration');
    add('$(output) Log of the connection', 'hearth.showOutput');
    add('$(output) Log of the daemon', 'hearth.showDaemonLog');
    const { name = connection.model?.state ?? connection.state } = connection.model ?? {};
    const chosen = await vscode.window.showQuickPick(items, {
      title: `hearth ${connection.version}`,
      placeHolder: `Model: ${name}`,
    });
    if (chosen?.command === undefined) return;
    const words = chosen.job === undefined ? [] : [chosen.job];
    await vscode.commands.executeCommand(chosen.command, ...words);
  }
}
