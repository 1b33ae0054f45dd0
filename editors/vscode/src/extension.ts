// Where the extension begins: makes its parts and joins them.
import * as vscode from 'vscode';
import { Actions } from './actions.ts';
import { Answers, type AnswersDelegate } from './answers.ts';
import { Commands, complain, walkthrough } from './commands.ts';
import { Connection } from './connection.ts';
import { askAgain, Inline } from './inline.ts';
import { inOrder } from './inOrder.ts';
import { isUnmade } from './jobs.ts';
import { JobsView } from './jobsView.ts';
import { notifyOfEnds } from './notify.ts';
import { markRunning } from './marks.ts';
import { followEditors, Review } from './review.ts';
import { StatusBar } from './statusBar.ts';
import { TeamPrompts } from './teamPrompts.ts';

const toldMissing = 'hearth.toldMissing';
let connection: Connection | undefined;

export function activate(extension: vscode.ExtensionContext): void {
  const inline = new Inline();
  const made = new Connection(extension, {
    ...inOrder(),
    provideInlineCompletionItems: inline.provide,
    sendRequest: inline.send,
    executeCommand: async (command, args, next) => {
      if (await actions.executed(command, args)) return null;
      return (await next(command, args)) as unknown;
    },
  });
  connection = made;
  const review = new Review(made);
  const delegate: AnswersDelegate = {
    ask: (question, attached, conversation) => {
      actions.ask(question, attached, conversation).catch(complain);
    },
    attach: () => actions.attach(),
    ofJob: (verb, job) => void commands.ofJob(verb, job).catch(complain),
    ofBlock: (what, job, code) => void commands.ofBlock(what, job, code).catch(complain),
    stop: (jobs) => {
      for (const job of jobs) commands.tell('cancel', job).catch(complain);
    },
    fetchText: (job) => void commands.fetchText(job),
  };
  const answers = new Answers(extension, made, delegate);
  const actions = new Actions(made, answers);
  const status = new StatusBar(made);
  inline.begun = () => status.completing();
  inline.signed = (by) => status.signed(by);
  const team = new TeamPrompts(made);
  const commands = new Commands({ connection: made, actions, answers, review, status, inline, team });

  // A change that could not be made says why, in words.
  const unmade = made.jobs.onChange((change) => {
    if (isUnmade(change)) answers.openJob(change.job.id, change.job.state.title);
  });

  extension.subscriptions.push(
    made,
    inline,
    review,
    answers,
    status,
    team,
    new JobsView(made),
    notifyOfEnds(made),
    markRunning(made),
    followEditors(),
    new vscode.Disposable(unmade),
    ...commands.register(),
    vscode.window.registerWebviewViewProvider(Answers.view, answers),
    made.onAnew(() => void commands.sayAgain()),
    made.onCompletionReady((ready) => askAgain(made.codeUri(ready.uri), ready)),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration('hearth.path')) void made.start().catch(complain);
      else if (change.affectsConfiguration('hearth')) void made.tellSettings().catch(complain);
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      // hearth.path of the workspace counts from now on.
      const found = made.find();
      if (made.state === 'missing' && 'program' in found) void made.start().catch(complain);
    }),
  );
  // Nobody waits for it: what is asked meanwhile does.
  void made.start().then(() => tellMissing(extension, made), complain);
}

// Once; the status bar and the views go on saying it.
async function tellMissing(extension: vscode.ExtensionContext, made: Connection): Promise<void> {
  if (made.state === 'missing' && extension.globalState.get(toldMissing) !== made.missing) {
    await extension.globalState.update(toldMissing, made.missing);
    void vscode.commands.executeCommand('workbench.action.openWalkthrough', walkthrough, false);
  }
}

export async function deactivate(): Promise<void> {
  await connection?.stop();
}
