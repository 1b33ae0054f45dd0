// The view of answers: one conversation at a time, in the side panel and, where a person wants it,
// in a tab. Which conversation is shown, and what is attached to the next question, is here.
import * as vscode from 'vscode';
import { randomBytes } from 'node:crypto';
import { answersHtml } from './answersHtml.ts';
import { messageOf, type Connection } from './connection.ts';
import { Conversations, type Attached, type Conversation, type Turn } from './conversations.ts';
import { hasEnded, runs } from './jobs.ts';
import { codeBlocks, render } from './markdown.ts';
import {
  readFromPage,
  type BlockVerb,
  type FromPage,
  type JobVerb,
  type ShownTurn,
  type ToPage,
} from './pageMessages.ts';
import { thoughtTitle } from './statusText.ts';
import { isInTeamWords } from './teamPromptsText.ts';

const savedAs = 'hearth.conversations';
const frame = 16; // milliseconds between two pictures of a growing answer

// What the page asks for that others do.
export interface AnswersDelegate {
  ask(question: string, attached: Attached[], conversation: Conversation | undefined): void;
  attach(): Promise<Attached[]>;
  ofJob(verb: JobVerb, job: number): void;
  ofBlock(what: BlockVerb, job: number, code: string): void;
  stop(jobs: number[]): void;
  fetchText(job: number): void;
}

export class Answers implements vscode.WebviewViewProvider, vscode.Disposable {
  static readonly view = 'hearth.answers';
  readonly conversations: Conversations;
  private readonly pages = new Set<vscode.Webview>();
  private view: vscode.WebviewView | undefined;
  private tab: vscode.WebviewPanel | undefined;
  private shown: Conversation | undefined;
  private attached: Attached[] = [];
  private readonly stale = new Set<number>(); // jobs whose picture is older than their state
  private timer: NodeJS.Timeout | undefined;
  private readonly stop: () => void;
  private readonly connection: Connection;
  private readonly extension: vscode.ExtensionContext;
  private readonly delegate: AnswersDelegate;

  constructor(
    extension: vscode.ExtensionContext,
    connection: Connection,
    delegate: AnswersDelegate,
  ) {
    this.extension = extension;
    this.connection = connection;
    this.delegate = delegate;
    this.conversations = new Conversations(extension.workspaceState.get(savedAs), (all) => {
      void extension.workspaceState.update(savedAs, all);
      this.sendList();
    });
    this.stop = connection.jobs.onChange(({ job }) => this.redraw(job.id));
  }

  dispose(): void {
    this.stop();
    clearTimeout(this.timer);
    this.tab?.dispose();
  }

  // ── Conversations ────────────────────────────────────────────────────────────────────────────

  current(): Conversation | undefined {
    return this.shown;
  }

  // The answer is what `begin` resolves to. `goOn`: in this conversation instead of a new one.
  async ask(turn: Turn, begin: () => Promise<number>, goOn?: Conversation): Promise<void> {
    // It is asked, and the status bar says so, before the window has the view to show, which takes it
    // longer. The bar's items are sent by timers, so that one more is behind them.
    const begun = new Promise<number>((resolve) => resolve(begin()));
    begun.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 0));
    const conversation = goOn ?? this.conversations.begin(turn);
    if (goOn) this.conversations.add(goOn, turn);
    this.open(conversation);
    this.reveal(true);
    try {
      turn.job = await begun;
      this.delegate.fetchText(turn.job);
    } catch (error) {
      turn.error = messageOf(error);
    }
    this.conversations.changed();
    this.sendTurn(conversation, conversation.turns.indexOf(turn));
  }

  // Shows a job's answer: in its conversation, or in a new one.
  openJob(job: number, title: string): void {
    const conversation =
      this.conversations.ofJob(job) ??
      this.conversations.begin({ question: title, attached: [], job });
    this.open(conversation);
    this.reveal(false);
  }

  open(conversation: Conversation | undefined): void {
    this.shown = conversation;
    for (const turn of conversation?.turns ?? []) {
      const job = turn.job === undefined ? undefined : this.connection.jobs.find(turn.job);
      if (turn.job !== undefined && (!job || job.partial)) this.delegate.fetchText(turn.job);
    }
    for (const page of this.pages) this.sendConversation(page);
  }

  begin(attached: Attached[]): void {
    this.open(undefined);
    this.attached = attached;
    this.sendAttached();
    this.reveal(false);
    this.send({ type: 'focus' });
  }

  addAttached(attached: Attached[]): void {
    const known = new Set(this.attached.map(({ name }) => name));
    this.attached.push(...attached.filter(({ name }) => !known.has(name)));
    this.sendAttached();
  }

  // ── Where it is shown ────────────────────────────────────────────────────────────────────────

  reveal(preserveFocus: boolean): void {
    const inTab =
      vscode.workspace.getConfiguration('hearth').get<string>('answers.location') === 'tab';
    if (this.tab) this.tab.reveal(undefined, preserveFocus);
    else if (inTab) this.openTab(preserveFocus);
    else if (this.view) this.view.show(preserveFocus);
    else void this.focusView(preserveFocus);
  }

  // A view that was never shown can only be shown with its focus.
  private async focusView(preserveFocus: boolean): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    await vscode.commands.executeCommand(`${Answers.view}.focus`, { preserveFocus });
    if (preserveFocus && editor) {
      await vscode.window.showTextDocument(editor.document, editor.viewColumn);
    }
  }

  openTab(preserveFocus = false): void {
    if (this.tab) return this.tab.reveal(undefined, preserveFocus);
    const tab = vscode.window.createWebviewPanel(
      'hearth.answersTab',
      'hearth',
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus },
      { ...this.options(), retainContextWhenHidden: true },
    );
    this.tab = tab;
    tab.iconPath = vscode.Uri.joinPath(this.extension.extensionUri, 'media', 'flame.svg');
    tab.onDidDispose(() => {
      this.tab = undefined;
      this.pages.delete(tab.webview);
    });
    this.fill(tab.webview);
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    view.webview.options = this.options();
    view.onDidDispose(() => {
      this.view = undefined;
      this.pages.delete(view.webview);
    });
    this.fill(view.webview);
  }

  private options(): vscode.WebviewOptions {
    const { extensionUri } = this.extension;
    return {
      enableScripts: true,
      localResourceRoots: [
        vscode.Uri.joinPath(extensionUri, 'dist'),
        vscode.Uri.joinPath(extensionUri, 'media'),
      ],
    };
  }

  private fill(page: vscode.Webview): void {
    const uri = (...parts: string[]): string =>
      page.asWebviewUri(vscode.Uri.joinPath(this.extension.extensionUri, ...parts)).toString();
    page.onDidReceiveMessage((message: unknown) => {
      const said = readFromPage(message);
      if (said) void this.receive(page, said);
      else this.connection.output.warn('the page of answers sent what is no message');
    });
    page.html = answersHtml({
      nonce: randomBytes(16).toString('base64url'),
      script: uri('dist', 'answers.js'),
      style: uri('media', 'answers.css'),
      source: page.cspSource,
    });
  }

  // ── What the page says ───────────────────────────────────────────────────────────────────────

  private async receive(page: vscode.Webview, said: FromPage): Promise<void> {
    switch (said.type) {
      case 'ready':
        this.pages.add(page);
        this.sendList();
        this.sendConversation(page);
        this.sendAttached();
        break;
      case 'ask': {
        const attached = this.attached;
        this.attached = [];
        this.sendAttached();
        this.delegate.ask(said.text, attached, this.shown);
        break;
      }
      case 'new':
        this.begin([]);
        break;
      case 'open':
        this.open(this.conversations.find(said.conversation));
        break;
      case 'attach':
        this.addAttached(await this.delegate.attach());
        break;
      case 'detach':
        this.attached.splice(said.index, 1);
        this.sendAttached();
        break;
      case 'stop':
        this.delegate.stop(this.runningJobs());
        break;
      case 'job':
        this.delegate.ofJob(said.verb, said.job);
        break;
      case 'block': {
        const text = this.connection.jobs.find(said.job)?.text ?? '';
        const block = codeBlocks(text)[said.block];
        if (block) this.delegate.ofBlock(said.what, said.job, block.text);
        break;
      }
    }
  }

  private runningJobs(): number[] {
    return (this.shown?.turns ?? []).flatMap(({ job }) => {
      const state = job === undefined ? undefined : this.connection.jobs.find(job)?.state.state;
      return job !== undefined && state && runs(state) ? [job] : [];
    });
  }

  // ── What the page is told ────────────────────────────────────────────────────────────────────

  private send(message: ToPage): void {
    for (const page of this.pages) void page.postMessage(message);
  }

  private sendList(): void {
    const conversations = this.conversations.list().map(({ id, title }) => ({ id, title }));
    this.send({ type: 'list', conversations });
  }

  private sendAttached(): void {
    this.send({ type: 'attached', names: this.attached.map(({ name }) => name) });
  }

  private sendConversation(page: vscode.Webview): void {
    const { id = 0, title = '', turns = [] } = this.shown ?? {};
    const conversation = { id, title, turns: turns.map((turn, key) => this.picture(turn, key)) };
    void page.postMessage({ type: 'conversation', conversation } satisfies ToPage);
  }

  private sendTurn(conversation: Conversation, key: number): void {
    const turn = conversation.turns[key];
    if (!turn || conversation !== this.shown) return;
    this.send({ type: 'turn', conversation: conversation.id, turn: this.picture(turn, key) });
  }

  private redraw(job: number): void {
    if (!this.shown?.turns.some((turn) => turn.job === job)) return;
    this.stale.add(job);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const conversation = this.shown;
      conversation?.turns.forEach((turn, key) => {
        if (turn.job !== undefined && this.stale.has(turn.job)) this.sendTurn(conversation, key);
      });
      this.stale.clear();
    }, frame);
  }

  private picture(turn: Turn, key: number): ShownTurn {
    const job = turn.job === undefined ? undefined : this.connection.jobs.find(turn.job);
    const state = job?.state.state ?? (turn.job === undefined ? 'asked' : 'unknown');
    const asked = turn.error ?? (turn.job === undefined ? 'asked' : '');
    const { message: said = asked, percentage = 0, error, title = '' } = job?.state ?? {};
    const message = isInTeamWords(title) ? `${said} · asked in the team’s words` : said;
    return {
      key,
      question: turn.question,
      attached: turn.attached.map(({ name }) => name),
      job: turn.job ?? 0,
      thought: job?.thought.trim() ?? '',
      thoughtTitle: job ? thoughtTitle(job.state) : '',
      html: render(job?.text ?? ''),
      state: turn.error === undefined ? state : 'failed',
      message: error === undefined ? message : `${message}: ${error}`,
      percentage,
      runs: job ? runs(job.state.state) : turn.job === undefined && turn.error === undefined,
      paused: state === 'paused',
      waits: state === 'waiting',
      failed: job !== undefined && hasEnded(job.state.state) && state !== 'done',
    };
  }
}
