// The one connection of this window to `hearth lsp`: finding the program, starting, what is said in
// `initialize`, starting again. Features hear of what comes in by events; nothing is shown here but
// why there is no connection.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  State,
  type Middleware,
  type StaticFeature,
} from 'vscode-languageclient/node';
import { Jobs } from './jobs.ts';
import { PendingJobs } from './pendingJobs.ts';
import { findProgram } from './program.ts';
import {
  actionCommand,
  features,
  method,
  protocolVersion,
  sessionCommand,
  type InlineCompletionReady,
  type JobStateParams,
  type ModelStatus,
  type Status,
  type TextDelta,
  type ThoughtDelta,
} from './protocol.ts';
import { serverSettings } from './serverSettings.ts';
import type { Connection as ConnectionState } from './statusText.ts';

const lookEvery = 3000; // milliseconds
const restartsAtMost = 5; // within
const restartsWithin = 180_000; // milliseconds

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

// The status bar shows jobs and loading, with more than the window's progress would; and a change
// that a person has seen needs no second look, which annotations would open.
const withoutDoubles: StaticFeature = {
  fillClientCapabilities(capabilities) {
    capabilities.window = { ...capabilities.window, workDoneProgress: false };
    delete capabilities.workspace?.workspaceEdit?.changeAnnotationSupport;
  },
  initialize() {},
  getState: () => ({ kind: 'static' }),
  clear() {},
};

export class Connection implements vscode.Disposable {
  readonly jobs = new Jobs();
  readonly output = vscode.window.createOutputChannel('hearth', { log: true });
  private readonly pending = new PendingJobs();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly ready = new vscode.EventEmitter<InlineCompletionReady>();
  private readonly anew = new vscode.EventEmitter<void>();
  private client: LanguageClient | undefined;
  private model_: ModelStatus | undefined;
  private version_ = '';
  private missing_ = '';
  private restarts: number[] = [];
  private saidEnd = false;
  private starting: Promise<void> | undefined;
  private readonly timer: NodeJS.Timeout;
  private asked = 0;
  private readonly extension: vscode.ExtensionContext;
  private readonly middleware: Middleware;

  // The model's or the connection's state is another one.
  readonly onChange = this.changed.event;
  readonly onCompletionReady = this.ready.event;
  // The server, or the daemon behind it, is another one, which knows nothing of this session.
  readonly onAnew = this.anew.event;

  constructor(extension: vscode.ExtensionContext, middleware: Middleware) {
    this.extension = extension;
    this.middleware = middleware;
    this.jobs.onChange(({ job, before }) => {
      if (before !== undefined || !this.pending.began(job.state)) return;
      void this.session('cancel', { job: job.id }).catch(() => undefined);
    });
    this.timer = setInterval(() => void this.look(), lookEvery);
  }

  get state(): ConnectionState {
    if (this.missing_ !== '') return 'missing';
    if (this.client?.state === State.Running) return 'running';
    return this.client?.state === State.Starting || this.starting ? 'starting' : 'offline';
  }
  get model(): ModelStatus | undefined {
    return this.model_;
  }
  get version(): string {
    return this.version_;
  }
  // Why the program cannot be started; empty: it was found.
  get missing(): string {
    return this.missing_;
  }

  // Where the program is now, or why it is not.
  find(): ReturnType<typeof findProgram> {
    return findProgram({
      setting: vscode.workspace.getConfiguration('hearth').get<string>('path', ''),
      home: os.homedir(),
      path: process.env['PATH'] ?? '',
      extension: this.extension.extensionPath,
      folders: (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath),
      isExecutable,
    });
  }

  async start(): Promise<void> {
    await this.stop();
    const found = this.find();
    this.missing_ = 'missing' in found ? found.missing : '';
    await vscode.commands.executeCommand('setContext', 'hearth.missing', this.missing_ !== '');
    this.changed.fire();
    if ('missing' in found) {
      this.output.warn(found.missing);
      return;
    }
    this.output.info(`starting ${found.program} lsp`);
    const client = this.create(found.program);
    this.client = client;
    this.starting = client.start();
    try {
      await this.starting;
    } catch (error) {
      this.output.error(`hearth did not start: ${String(error)}`);
      void vscode.window.showErrorMessage(`hearth did not start: ${messageOf(error)}`);
    } finally {
      this.starting = undefined;
      this.changed.fire();
    }
  }

  async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    this.model_ = undefined;
    if (!client) return;
    try {
      await this.starting?.catch(() => undefined);
      await client.dispose();
    } catch (error) {
      this.output.debug(`stopping: ${String(error)}`);
    }
  }

  dispose(): void {
    clearInterval(this.timer);
    void this.stop();
    this.anew.dispose();
    this.changed.dispose();
    this.ready.dispose();
    this.output.dispose();
  }

  private create(program: string): LanguageClient {
    const client = new LanguageClient(
      'hearth',
      'hearth',
      { command: program, args: ['lsp'] },
      {
        documentSelector: [{ scheme: 'file' }, { scheme: 'untitled' }],
        initializationOptions: () => ({
          hearth: { protocol: protocolVersion, features },
          settings: this.settings(),
        }),
        outputChannel: this.output,
        middleware: this.middleware,
        errorHandler: {
          error: () => ({ action: ErrorAction.Continue, handled: true }),
          closed: () => this.closed(),
        },
      },
    );
    client.registerFeature(withoutDoubles);
    client.onNotification(method.jobState, (state: JobStateParams) => this.jobs.heardState(state));
    client.onNotification(method.textDelta, (delta: TextDelta) => this.jobs.heardDelta(delta));
    client.onNotification(method.thoughtDelta, (delta: ThoughtDelta) =>
      this.jobs.heardThought(delta),
    );
    client.onNotification(method.status, (status: Status) => this.heardStatus(status));
    client.onNotification(method.inlineCompletionReady, (ready: InlineCompletionReady) =>
      this.ready.fire(ready),
    );
    client.onDidChangeState(({ newState }) => {
      if (newState === State.Running) this.anew.fire();
      this.changed.fire();
    });
    return client;
  }

  private heardStatus(status: Status): void {
    const isAnew = this.model_?.state === 'ready' && status.model.state === 'loading';
    this.model_ = status.model;
    this.version_ = status.version;
    if (isAnew) this.anew.fire();
    this.saidEnd = false;
    this.jobs.heardStatus(status);
    this.changed.fire();
  }

  // `hearth lsp` itself ended: it outlives the daemon, and says so when another one took over.
  private closed(): { action: CloseAction; handled: boolean } {
    this.model_ = undefined;
    const now = Date.now();
    this.restarts = this.restarts.filter((then) => now - then < restartsWithin);
    this.restarts.push(now);
    this.changed.fire();
    if (this.restarts.length > restartsAtMost) {
      void vscode.window
        .showErrorMessage('hearth ends again and again, and is not started any more.', 'Show Log')
        .then((chosen) => chosen && this.output.show());
      return { action: CloseAction.DoNotRestart, handled: true };
    }
    if (!this.saidEnd) {
      this.saidEnd = true;
      void vscode.window.showWarningMessage('hearth has ended and is started again. Jobs go on.');
    }
    return { action: CloseAction.Restart, handled: true };
  }

  // ── Settings ─────────────────────────────────────────────────────────────────────────────────

  private settings(): Record<string, unknown> {
    const configuration = vscode.workspace.getConfiguration('hearth');
    return serverSettings((key) => {
      const found = configuration.inspect(key);
      return found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue;
    });
  }

  async tellSettings(): Promise<void> {
    if (this.client?.state !== State.Running) return;
    await this.client.sendNotification('workspace/didChangeConfiguration', {
      settings: { hearth: this.settings() },
    });
  }

  // ── Requests ─────────────────────────────────────────────────────────────────────────────────

  // What other windows do comes unasked only when the model's state changes.
  async look(always = false): Promise<void> {
    if (this.state !== 'running' || !(always || this.jobs.someAreElsewhere())) return;
    try {
      this.jobs.heardStatus(await this.request<Status>(method.status, null));
    } catch (error) {
      this.output.debug(`hearth/status: ${String(error)}`);
    }
  }

  private async running(): Promise<LanguageClient> {
    await this.starting?.catch(() => undefined);
    if (this.client?.state === State.Running) return this.client;
    throw new Error(this.missing_ !== '' ? this.missing_ : `hearth is ${this.state}`);
  }

  has(command: string): boolean {
    const provider = this.client?.initializeResult?.capabilities.executeCommandProvider;
    return provider?.commands.includes(command) === true;
  }

  uriOf(uri: vscode.Uri): string {
    return this.client?.code2ProtocolConverter.asUri(uri) ?? uri.toString();
  }
  codeUri(uri: string): vscode.Uri {
    return this.client?.protocol2CodeConverter.asUri(uri) ?? vscode.Uri.parse(uri);
  }

  async request<Result>(name: string, params: unknown): Promise<Result> {
    return (await this.running()).sendRequest<Result>(name, params);
  }

  async execute<Result>(command: string, argument: unknown): Promise<Result> {
    return this.request('workspace/executeCommand', { command, arguments: [argument] });
  }

  session<Result = null>(name: string, argument: unknown): Promise<Result> {
    return this.execute(sessionCommand(name), argument);
  }

  // Runs an action; the number of the job that comes of it.
  action(action: string, argument: unknown): Promise<number> {
    return this.begin(action, actionCommand(action), argument);
  }

  followUp(job: number, argument: Record<string, unknown>): Promise<number> {
    return this.begin('ask', sessionCommand('followUp'), { job, ...argument });
  }

  // A job of `action` is what becomes of the command. Never resolved where a person says no.
  private begin(action: string, command: string, argument: unknown): Promise<number> {
    const answer = this.execute(command, argument);
    const begun = this.pending.begin(action, answer);
    this.count(begun, answer);
    return begun;
  }

  // Something was asked for, and no job tells of it yet.
  get asking(): boolean {
    return this.asked > 0;
  }
  // Whether there was something.
  stopAsking(): boolean {
    const any = this.asking && this.pending.any;
    this.pending.stop();
    return any;
  }

  // Where no job follows soon after the answer, a person is asked something first.
  private count(begun: Promise<unknown>, answer: Promise<unknown>): void {
    this.asked += 1;
    this.changed.fire();
    const late = answer.then(() => new Promise((resolve) => setTimeout(resolve, 2000)));
    void Promise.race([begun, late])
      .catch(() => undefined)
      .finally(() => {
        this.asked -= 1;
        this.changed.fire();
      });
    begun.catch(() => undefined);
  }
}

export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^workspace\/executeCommand: /, '');
}
