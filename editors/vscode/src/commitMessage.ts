// A commit message for what is staged, written into the box of the source-control view as it comes.
import * as vscode from 'vscode';
import type { Connection } from './connection.ts';
import { hasEnded } from './jobs.ts';
import { plainMessage } from './markdown.ts';

// What is used of the API of VS Code's own git extension, version 1.
interface Repository {
  readonly rootUri: vscode.Uri;
  readonly inputBox: { value: string };
  diff(cached?: boolean): Promise<string>;
}
interface Git {
  readonly state: 'uninitialized' | 'initialized';
  readonly onDidChangeState: vscode.Event<'uninitialized' | 'initialized'>;
  readonly repositories: Repository[];
  getRepository(uri: vscode.Uri): Repository | null;
}
interface GitExtension {
  getAPI(version: 1): Git;
}

// It looks for repositories when the window opens.
function whenReady(git: Git): Promise<Git> {
  if (git.state === 'initialized') return Promise.resolve(git);
  return new Promise((resolve) => {
    const stop = git.onDidChangeState((state) => {
      if (state !== 'initialized') return;
      stop.dispose();
      resolve(git);
    });
  });
}

async function repositoryOf(chosen: unknown): Promise<Repository> {
  const extension = vscode.extensions.getExtension<GitExtension>('vscode.git');
  if (!extension) throw new Error('VS Code’s git extension is not there.');
  const git = await whenReady((await extension.activate()).getAPI(1));
  const root = (chosen as { rootUri?: vscode.Uri } | undefined)?.rootUri;
  const editor = vscode.window.activeTextEditor?.document.uri;
  const found =
    (root && git.getRepository(root)) ?? (editor && git.getRepository(editor)) ?? git.repositories[0];
  if (!found) throw new Error('There is no git repository in this workspace.');
  return found;
}

// What is staged; where nothing is, all changes, as VS Code would commit them.
async function diffOf(repository: Repository): Promise<string> {
  const staged = await repository.diff(true);
  const diff = staged.trim() === '' ? await repository.diff(false) : staged;
  if (diff.trim() === '') throw new Error('There is no change to write a message for.');
  return diff;
}

export async function writeCommitMessage(connection: Connection, chosen: unknown): Promise<void> {
  const repository = await repositoryOf(chosen);
  const diff = await diffOf(repository);
  const before = repository.inputBox.value;
  const id = await connection.action('commit-message', { diff });
  const write = (): boolean => {
    const job = connection.jobs.find(id);
    if (!job) return false;
    const message = plainMessage(job.text);
    if (message !== '') repository.inputBox.value = message;
    const { state } = job.state;
    if (state === 'failed' && message === '') repository.inputBox.value = before;
    return hasEnded(state);
  };
  if (write()) return;
  const stop = connection.jobs.onChange(({ job }) => {
    if (job.id === id && write()) stop();
  });
}
