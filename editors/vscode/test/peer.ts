// A plain protocol peer of the real `hearth lsp`, with the embedded model: what the extension says
// on the wire, without an editor. HEARTH_UNDER_TEST names the program; its directories are those of
// the environment.
import { spawn, type ChildProcess } from 'node:child_process';
import {
  createProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type ProtocolConnection,
} from 'vscode-languageserver-protocol/node';
import { Jobs, type Job } from '../src/jobs.ts';
import { PendingJobs } from '../src/pendingJobs.ts';
import { features, method, protocolVersion } from '../src/protocol.ts';
import type { Status } from '../src/protocol.ts';

export const program = process.env['HEARTH_UNDER_TEST'] ?? '';

interface Edit {
  range: { start: { line: number; character: number }; end: { line: number; character: number } };
  newText: string;
}
export interface Applied {
  documentChanges: { textDocument: { uri: string; version: number }; edits: Edit[] }[];
}

export class Peer {
  readonly jobs = new Jobs();
  readonly applied: Applied[] = [];
  readonly messages: string[] = [];
  capabilities: { executeCommandProvider?: { commands: string[] } } = {};
  granted: string[] = [];
  status: Status | undefined;
  private readonly pending = new PendingJobs();
  private readonly process: ChildProcess;
  private readonly connection: ProtocolConnection;
  private readonly waiting = new Set<() => void>();

  constructor() {
    this.process = spawn(program, ['lsp'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdin, stdout } = this.process;
    if (!stdin || !stdout) throw new Error('there are no pipes');
    this.connection = createProtocolConnection(
      new StreamMessageReader(stdout),
      new StreamMessageWriter(stdin),
    );
    this.jobs.onChange(({ job, before }) => {
      if (before === undefined) this.pending.began(job.state);
      this.changed();
    });
    this.connection.onNotification(method.jobState, (state) => this.jobs.heardState(state));
    this.connection.onNotification(method.textDelta, (delta) => this.jobs.heardDelta(delta));
    this.connection.onNotification(method.status, (status: Status) => {
      this.status = status;
      this.jobs.heardStatus(status);
      this.changed();
    });
    this.connection.onNotification('window/showMessage', ({ message }: { message: string }) => {
      this.messages.push(message);
      this.changed();
    });
    this.connection.onRequest('workspace/applyEdit', ({ edit }: { edit: Applied }) => {
      this.applied.push(edit);
      this.changed();
      return { applied: true };
    });
    this.connection.onRequest('client/registerCapability', () => null);
    this.connection.listen();
  }

  async initialize(folder: string, settings: object = {}): Promise<void> {
    const result = await this.connection.sendRequest<Record<string, any>>('initialize', {
      processId: process.pid,
      clientInfo: { name: 'Visual Studio Code', version: '1.105.0' },
      rootUri: null,
      workspaceFolders: [{ uri: folder, name: 'p' }],
      initializationOptions: { hearth: { protocol: protocolVersion, features }, settings },
      capabilities: {
        workspace: {
          applyEdit: true,
          workspaceEdit: { documentChanges: true },
          executeCommand: { dynamicRegistration: true },
        },
        textDocument: { inlineCompletion: { dynamicRegistration: true } },
        window: { showDocument: { support: true }, workDoneProgress: false },
        general: { positionEncodings: ['utf-16'] },
      },
    });
    this.capabilities = result['capabilities'];
    this.granted = result['capabilities'].experimental.hearth.features;
    await this.notify('initialized', {});
  }

  request<Result>(name: string, params: unknown): Promise<Result> {
    return this.connection.sendRequest<Result>(name, params);
  }
  notify(name: string, params: unknown): Promise<void> {
    return this.connection.sendNotification(name, params);
  }

  open(uri: string, text: string, languageId = 'python', version = 1): Promise<void> {
    return this.notify('textDocument/didOpen', {
      textDocument: { uri, languageId, version, text },
    });
  }
  change(uri: string, text: string, version: number): Promise<void> {
    return this.notify('textDocument/didChange', {
      textDocument: { uri, version },
      contentChanges: [{ text }],
    });
  }

  execute<Result = null>(command: string, argument: unknown): Promise<Result> {
    return this.request('workspace/executeCommand', { command, arguments: [argument] });
  }
  // The number of the job that comes of it.
  begin(action: string, command: string, argument: unknown): Promise<number> {
    return this.pending.begin(action, this.execute(command, argument));
  }
  action(action: string, argument: unknown): Promise<number> {
    return this.begin(action, `hearth.server.${action}`, argument);
  }

  private changed(): void {
    for (const look of [...this.waiting]) look();
  }

  // Until `what` is there, however long it takes; the test runner's limit ends it.
  until<Value>(what: () => Value | undefined | false): Promise<Value> {
    return new Promise((resolve) => {
      const look = (): void => {
        const value = what();
        if (value === undefined || value === false) return;
        this.waiting.delete(look);
        resolve(value);
      };
      this.waiting.add(look);
      look();
    });
  }
  job(id: number, ...states: string[]): Promise<Job> {
    return this.until(() => {
      const job = this.jobs.find(id);
      return job && states.includes(job.state.state) ? job : undefined;
    });
  }

  async end(): Promise<void> {
    await this.request('shutdown', null);
    await this.notify('exit', null);
    this.connection.dispose();
  }
}

// As an editor makes an edit: the ranges all refer to the text before.
export function made(text: string, edits: Edit[]): string {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const offset = ({ line, character }: Edit['range']['start']): number =>
    Math.min((starts[line] ?? text.length) + character, text.length);
  return [...edits]
    .sort((one, other) => offset(other.range.start) - offset(one.range.start))
    .reduce(
      (now, { range, newText }) =>
        now.slice(0, offset(range.start)) + newText + now.slice(offset(range.end)),
      text,
    );
}
