// What is shown, and in which order: previews of changes, answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Proposal } from '../src/previews.ts';
import { Jobs } from '../src/jobs.ts';
import { state } from './making.ts';
import { Editor, executed, files, moved, Uri } from './workbench.ts';

const { Previews } = await import('../src/previews.ts');
const { Answers } = await import('../src/answers.ts');
const { Inline } = await import('../src/inline.ts');

const nothing = (): Promise<void> => Promise.resolve();
function proposal(key: string, target: Uri, isNew: boolean, proposed: string): Proposal {
  const words = { key, title: 'Edit (hearth)', isNew, proposed: () => proposed, accept: nothing, discard: nothing };
  return { ...words, target } as unknown as Proposal;
}

// The texts of both sides of the editor of differences, as VS Code asks for them.
async function sides(previews: InstanceType<typeof Previews>, left: Uri, right: Uri): Promise<string[]> {
  const textOf = async (uri: Uri): Promise<string> =>
    uri.scheme === 'file'
      ? (files.get(uri.toString()) ?? assert.fail(`there is no file ${uri.toString()}`))
      : previews.provideTextDocumentContent(uri as never);
  return [await textOf(left), await textOf(right)];
}

test('a change of a file is shown beside the file, and a new file beside nothing', async () => {
  const previews = new Previews();
  const [old, made] = [Uri.file('/p/stats.py'), Uri.file('/p/util.py')];
  files.set(old.toString(), 'x = 1\n');
  executed.length = 0;
  await previews.show(proposal('job-7.0', old, false, 'x = 2\n'), false);
  await previews.show(proposal('job-7.1', made, true, 'y = 3\n'), false);
  const shown = executed.filter(([command]) => command === 'vscode.diff') as [string, Uri, Uri][];
  assert.deepEqual(
    await Promise.all(shown.map(([, left, right]) => sides(previews, left, right))),
    [['x = 1\n', 'x = 2\n'], ['', 'y = 3\n']],
  );
  assert.deepEqual(shown.map(([, left, right]) => [left.path, right.path]), [
    ['/p/stats.py', '/p/stats.py'],
    ['/p/util.py', '/p/util.py'],
  ]);
  previews.dispose();
});

test('of several files in one editor a new one has no left side', async () => {
  const previews = new Previews();
  const [old, made] = [Uri.file('/p/stats.py'), Uri.file('/p/util.py')];
  executed.length = 0;
  await previews.showAll('Edit', [
    proposal('job-8.0', old, false, 'x = 2\n'),
    proposal('job-8.1', made, true, 'y = 3\n'),
  ]);
  const [, , resources] = executed.find(([command]) => command === 'vscode.changes') as [string, string, Uri[][]];
  assert.deepEqual(resources.map(([, left]) => left?.toString()), [old.toString(), undefined]);
  assert.equal(await previews.provideTextDocumentContent(resources[1]?.[2] as never), 'y = 3\n');
  previews.dispose();
});

test('the status bar says that something is asked before the window has answers to show', async () => {
  const order: string[] = [];
  const page = { onDidReceiveMessage: () => undefined, postMessage: () => order.push('page'), asWebviewUri: () => '' };
  const view = { webview: page, onDidDispose: () => undefined, show: () => order.push('view') };
  const extension = {
    extensionUri: Uri.file('/e'),
    workspaceState: { get: () => undefined, update: () => order.push('kept') },
  };
  const connection = { jobs: new Jobs(), output: {} };
  const answers = new Answers(extension as never, connection as never, { fetchText: () => undefined } as never);
  answers.resolveWebviewView(view as never);
  await answers.ask({ question: 'Why?', attached: [] }, () => {
    order.push('asked');
    setTimeout(() => order.push('status bar'), 0); // as VS Code sends its items
    return Promise.resolve(7);
  });
  assert.deepEqual(order.slice(0, 2), ['asked', 'status bar']);
  assert.ok(order.includes('view') && order.includes('kept'));
  assert.equal(answers.current()?.turns[0]?.job, 7);
  await answers.ask({ question: 'And?', attached: [] }, () => {
    throw new Error('Open a file first.');
  });
  assert.equal(answers.current()?.turns[0]?.error, 'Open a file first.');
  answers.dispose();
});

test('a thought goes to the page as text beside the answer, and not before there is one', () => {
  const jobs = new Jobs();
  const sent: { conversation?: { turns: Record<string, unknown>[] } }[] = [];
  let hears: (message: unknown) => void = () => undefined;
  const page = {
    onDidReceiveMessage: (listener: typeof hears) => (hears = listener),
    postMessage: (message: (typeof sent)[0]) => sent.push(message),
    asWebviewUri: () => '',
  };
  const view = { webview: page, onDidDispose: () => undefined, show: () => undefined };
  const extension = {
    extensionUri: Uri.file('/e'),
    workspaceState: { get: () => undefined, update: () => undefined },
  };
  const connection = { jobs, output: {} };
  const answers = new Answers(extension as never, connection as never, { fetchText: () => undefined } as never);
  answers.resolveWebviewView(view as never);
  const shown = (): Record<string, unknown> | undefined => {
    hears({ type: 'ready' });
    return sent.filter((message) => message.conversation).at(-1)?.conversation?.turns[0];
  };
  jobs.heardState(state({ state: 'thinking', thoughtTokens: 1 }));
  answers.openJob(7, 'Explain average');
  assert.equal(shown()?.['thought'], '');
  jobs.heardThought({ id: 7, text: ' <img src=x>\n' });
  assert.deepEqual([shown()?.['thought'], shown()?.['thoughtTitle']], ['<img src=x>', 'Thinking, 1 token']);
  jobs.heardState(state({ state: 'done', text: 'Adds <b>.', thoughtTokens: 3 }));
  assert.equal(shown()?.['thoughtTitle'], 'Thought for 3 tokens');
  assert.equal(shown()?.['html'], '<p>Adds &lt;b&gt;.</p>\n');
  answers.dispose();
});

test('who wrote ghost text is said as the server tells it, until the cursor goes on without it', async () => {
  const inline = new Inline();
  const said: (string | undefined)[] = [];
  inline.signed = (by) => said.push(by);
  const editor = new Editor('x = ');
  const start = { line: 0, character: 0 };
  // As the client does it: what the server answered is seen on the way, what VS Code is given has less.
  const complete = (text: string, hearth: object): Promise<unknown> => {
    const next = async (...[, , , token]: unknown[]): Promise<object> => {
      const told = { items: [{ insertText: text, hearth }] };
      await inline.send({ method: 'textDocument/inlineCompletion' } as never, {}, token as never, () =>
        Promise.resolve(told as never),
      );
      return [{ insertText: text, range: { start } }];
    };
    const token = { onCancellationRequested: () => ({ dispose() {} }) };
    return Promise.resolve(inline.provide(editor.document as never, {} as never, {} as never, token as never, next as never));
  };
  moved(editor);
  await complete('x = 1 + 2', { by: 'qwen at gpu.example.org' });
  editor.text = 'x = 1';
  editor.document.version = 2;
  moved(editor);
  editor.text = 'x = 2';
  editor.document.version = 3;
  moved(editor);
  await complete('x = 2 + 2', {});
  const by = 'qwen at gpu.example.org';
  assert.deepEqual(said, [undefined, by, by, undefined, undefined]);
  inline.dispose();
});
