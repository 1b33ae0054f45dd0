// Choosing an action: by a command, from the editor's own menu of code actions, on many files. What
// comes of it is a job.
import * as path from 'node:path';
import * as vscode from 'vscode';
import type { Answers } from './answers.ts';
import { messageOf, type Connection } from './connection.ts';
import type { Attached } from './conversations.ts';
import { Declined } from './pendingJobs.ts';
import { actionCommand, actionOf, type Range } from './protocol.ts';

// What changes code; any other action answers in words.
const editing: Readonly<Record<string, string>> = {
  edit: 'Edit, in your own words',
  document: 'Document',
  types: 'Add types',
  simplify: 'Simplify',
  fix: 'Fix what the tools report',
  rename: 'Improve names',
  extract: 'Extract a function',
  inline: 'Inline names',
};

const questions: Readonly<Record<string, string>> = {
  ask: 'What do you want to know?',
  edit: 'What is to change?',
  translate: 'Into which language?',
};

const titles: Readonly<Record<string, string>> = {
  explain: 'Explain',
  review: 'Review',
  tests: 'Write tests for',
  translate: 'Translate',
  ask: 'Ask about',
};

interface Argument {
  uri: string;
  range: Range;
  version?: number;
  hash?: string;
  diagnostics?: unknown;
  instruction?: string;
  asks?: string;
  review?: boolean;
  attached?: { uri: string }[];
  prompt?: { name: string; title: string }; // of an action of the team's own
}

interface Offered {
  title: string;
  command?: { command: string; arguments?: [Argument] };
}

export class Actions {
  private readonly connection: Connection;
  private readonly answers: Answers;

  constructor(connection: Connection, answers: Answers) {
    this.connection = connection;
    this.answers = answers;
  }

  // For the selection, or where nothing is selected for what is around the cursor.
  async run(action: string, instruction?: string): Promise<void> {
    const argument = this.here();
    if (!argument) return say('Open a file first: there is nothing to look at.');
    if (instruction !== undefined) argument.instruction = instruction;
    else if (questions[action] !== undefined) argument.asks = questions[action];
    await this.choose(action, argument);
  }

  // An edit that may change other files with the selection's own.
  async editFiles(): Promise<void> {
    const argument = this.here();
    if (!argument) return say('Open a file first: there is nothing to look at.');
    const attached = await this.attach();
    if (attached.length === 0) return;
    const others = attached.map(({ uri }) => ({ uri })).filter(({ uri }) => uri !== argument.uri);
    await this.choose('edit', { ...argument, attached: others, asks: 'What is to change in them?' });
  }

  // As the server listed it, or as made here.
  async choose(action: string, argument: Argument): Promise<void> {
    const { asks, ...rest } = argument;
    if (asks !== undefined && rest.instruction === undefined) {
      const words = await vscode.window.showInputBox({
        title: 'hearth',
        prompt: asks,
        ignoreFocusOut: true,
      });
      if (words === undefined || words.trim() === '') return;
      rest.instruction = words;
    }
    if (action in editing) return this.change(action, rest);
    const attached = this.named(rest);
    const question = rest.prompt
      ? `${rest.prompt.title}: ${rest.instruction ?? attached.name}`
      : (rest.instruction ?? `${titles[action] ?? action} ${attached.name}`);
    await this.answers.ask({ question, attached: [attached] }, () =>
      this.connection.action(action, rest),
    );
  }

  private async change(action: string, argument: Argument): Promise<void> {
    const previews = vscode.workspace.getConfiguration('hearth').get<boolean>('edits.preview', true);
    try {
      await this.connection.action(action, previews ? { ...argument, review: true } : argument);
    } catch (error) {
      // A person knows what they have declined.
      if (error instanceof Declined) return;
      void vscode.window.showErrorMessage(`hearth: ${messageOf(error)}`);
    }
  }

  // The server's own commands, as its code actions have them.
  async executed(command: string, args: unknown[]): Promise<boolean> {
    const action = actionOf(command);
    const argument = args[0] as Argument | undefined;
    if (action === undefined || typeof argument?.uri !== 'string') return false;
    await this.choose(action, argument);
    return true;
  }

  // All that the server offers here.
  async menu(): Promise<void> {
    const argument = this.here();
    if (!argument) return say('Open a file first: there is nothing to look at.');
    const offered = await this.connection.request<Offered[] | null>('textDocument/codeAction', {
      textDocument: { uri: argument.uri },
      range: argument.range,
      context: { diagnostics: argument.diagnostics, triggerKind: 1 },
    });
    const items = (offered ?? []).flatMap(({ title, command }) =>
      command ? [{ label: title, command }] : [],
    );
    if (items.length === 0) return say('There is no action here.');
    const chosen = await vscode.window.showQuickPick(items, { title: 'hearth' });
    const first = chosen?.command.arguments?.[0];
    const action = chosen && actionOf(chosen.command.command);
    if (action !== undefined && first) await this.choose(action, first);
  }

  async runOnFiles(): Promise<void> {
    const files = await vscode.window.showInputBox({
      title: 'hearth: Run on Matching Files (1 of 3)',
      prompt: 'Which files of the workspace? Patterns as git has them, separated by blanks.',
      placeHolder: '*.py src/*.c',
      ignoreFocusOut: true,
    });
    if (files === undefined || files.trim() === '') return;
    const items = Object.entries(editing).map(([action, label]) => ({ label, action }));
    const picked = await vscode.window.showQuickPick(items, {
      title: 'hearth: Run on Matching Files (2 of 3)',
      ignoreFocusOut: true,
    });
    if (!picked) return;
    const instruction =
      picked.action === 'edit'
        ? await vscode.window.showInputBox({
            title: 'hearth: Run on Matching Files (3 of 3)',
            prompt: 'What is to change in each of them?',
            ignoreFocusOut: true,
          })
        : '';
    if (instruction === undefined || (picked.action === 'edit' && instruction.trim() === '')) return;
    await this.connection.session('runOnFiles', {
      action: picked.action,
      files: files.trim().split(/\s+/),
      ...(instruction === '' ? {} : { instruction }),
    });
    await vscode.commands.executeCommand('hearth.jobs.focus');
  }

  // ── Conversations ────────────────────────────────────────────────────────────────────────────

  // A question of a person's own: the first of a conversation, or the next one.
  async ask(question: string, attached: Attached[], goOn = this.answers.current()): Promise<void> {
    const turn = { question, attached };
    const shown = attached.map(({ uri, range }) => (range ? { uri, range } : { uri }));
    // One that failed before it wrote anything is no answer to go on from.
    const isAnswer = (job: number | undefined): boolean =>
      job !== undefined && this.connection.jobs.find(job)?.text !== '';
    const before = goOn?.turns.findLast(({ job }) => isAnswer(job))?.job;
    if (goOn && before !== undefined) {
      await this.answers.ask(
        turn,
        () => this.connection.followUp(before, { question, attached: shown }),
        goOn,
      );
      return;
    }
    await this.answers.ask(turn, () => {
      if (this.connection.has(actionCommand('chat'))) {
        return this.connection.action('chat', { instruction: question, attached: shown });
      }
      const here = this.here();
      if (!here) throw new Error('Open a file first: this hearth answers about code only.');
      return this.connection.action('ask', { ...here, instruction: question });
    });
  }

  // What is attached to a conversation that is begun here: the selection, else nothing.
  selection(): Attached[] {
    const editor = vscode.window.activeTextEditor;
    const argument = this.here();
    return editor && argument && !editor.selection.isEmpty ? [this.named(argument)] : [];
  }

  async attach(): Promise<Attached[]> {
    const open = vscode.workspace.textDocuments
      .filter(({ uri }) => uri.scheme === 'file')
      .map(({ uri }) => uri);
    const found = await vscode.workspace.findFiles('**/*', undefined, 1000);
    const uris = new Map([...open, ...found].map((uri) => [uri.toString(), uri]));
    const selection = this.selection().map((attached) => ({
      label: `$(selection) ${attached.name}`,
      description: 'the selection',
      attached,
    }));
    const files = [...uris.values()].map((uri) => ({
      label: vscode.workspace.asRelativePath(uri),
      description: '',
      attached: { uri: this.connection.uriOf(uri), name: vscode.workspace.asRelativePath(uri) },
    }));
    const chosen = await vscode.window.showQuickPick([...selection, ...files], {
      title: 'hearth: Attach',
      canPickMany: true,
    });
    return (chosen ?? []).map(({ attached }) => attached);
  }

  // ── Where ────────────────────────────────────────────────────────────────────────────────────

  private here(): Argument | undefined {
    const editor = vscode.window.activeTextEditor;
    if (!editor || !['file', 'untitled'].includes(editor.document.uri.scheme)) return undefined;
    const { document, selection } = editor;
    return {
      uri: this.connection.uriOf(document.uri),
      range: rangeOf(selection),
      diagnostics: diagnosticsIn(document.uri, selection),
    };
  }

  private named(argument: Argument): Attached {
    const { start, end } = argument.range;
    const uri = this.connection.codeUri(argument.uri);
    const name = path.posix.basename(uri.path);
    const isEmpty = start.line === end.line && start.character === end.character;
    const last = end.character === 0 && end.line > start.line ? end.line : end.line + 1;
    const lines = start.line + 1 === last ? `${last}` : `${start.line + 1}-${last}`;
    return { uri: argument.uri, range: argument.range, name: isEmpty ? `${name}:${start.line + 1}` : `${name}:${lines}` };
  }
}

const say = (message: string): void => void vscode.window.showInformationMessage(`hearth: ${message}`);

const rangeOf = ({ start, end }: vscode.Range): Range => ({
  start: { line: start.line, character: start.character },
  end: { line: end.line, character: end.character },
});

// As the protocol has them.
function diagnosticsIn(uri: vscode.Uri, range: vscode.Range): object[] {
  return vscode.languages
    .getDiagnostics(uri)
    .filter((each) => each.range.intersection(range) !== undefined)
    .map((each) => ({
      range: rangeOf(each.range),
      message: each.message,
      severity: each.severity + 1,
      ...(each.source === undefined ? {} : { source: each.source }),
    }));
}
