// The tree of jobs: running, queued, waiting for review, paused, done; a batch's jobs below it.
import * as vscode from 'vscode';
import type { Connection } from './connection.ts';
import { groupTitles, runs, spokenOf, tree, type BatchNode, type GroupNode, type JobNode } from './jobs.ts';
import type { JobState } from './protocol.ts';

export type Node = GroupNode | BatchNode | JobNode;

const icons: Readonly<Record<JobState, string>> = {
  queued: 'clock',
  prefilling: 'loading~spin',
  thinking: 'loading~spin',
  generating: 'loading~spin',
  paused: 'debug-pause',
  waiting: 'git-pull-request',
  done: 'check',
  failed: 'error',
  cancelled: 'circle-slash',
};

// The number that a command on a node is about; a batch's stands for all of its jobs.
export function jobOf(node: unknown): number | undefined {
  if (typeof node === 'number') return node;
  const it = node as Node | undefined;
  if (it?.kind === 'job') return it.job.id;
  return it?.kind === 'batch' ? it.id : undefined;
}

export class JobsView implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  static readonly view = 'hearth.jobs';
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly view: vscode.TreeView<Node>;
  private readonly stop: () => void;
  private timer: NodeJS.Timeout | undefined;
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
    this.view = vscode.window.createTreeView(JobsView.view, { treeDataProvider: this });
    this.view.onDidChangeVisibility(({ visible }) => visible && void connection.look(true));
    this.stop = connection.jobs.onChange(() => {
      this.timer ??= setTimeout(() => this.refresh(), 100);
    });
  }

  private refresh(): void {
    this.timer = undefined;
    this.changed.fire(undefined);
    const waiting = this.connection.jobs.all().filter((job) => job.state.state === 'waiting').length;
    this.view.badge =
      waiting > 0 ? { value: waiting, tooltip: `${waiting} waiting for review` } : undefined;
  }

  getChildren(node?: Node): Node[] {
    if (!node) return tree(this.connection.jobs.all());
    if (node.kind === 'group') return node.children;
    if (node.kind === 'batch') return node.jobs.map((job) => ({ kind: 'job', job }));
    return [];
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const { Collapsed, Expanded } = vscode.TreeItemCollapsibleState;
    if (node.kind === 'group') {
      const open = node.name === 'done' ? Collapsed : Expanded;
      const item = new vscode.TreeItem(groupTitles[node.name], open);
      item.id = node.name;
      item.contextValue = `group.${node.name}`;
      item.accessibilityInformation = { label: spokenOf(node), role: 'treeitem' };
      return item;
    }
    if (node.kind === 'batch') {
      const item = new vscode.TreeItem(node.title, Collapsed);
      const first = node.jobs[0]?.state.state ?? 'queued';
      item.id = `batch ${first} ${node.id}`;
      item.description = `${node.jobs.length} of ${node.size} files`;
      item.contextValue = `batch.${runs(first) ? 'running' : first}`;
      item.iconPath = new vscode.ThemeIcon('files');
      item.accessibilityInformation = { label: spokenOf(node), role: 'treeitem' };
      item.tooltip = `${node.title}\nA batch of ${node.size} files: what is said of it is said of all its jobs in this state.`;
      return item;
    }
    return this.item(node);
  }

  private item(node: JobNode): vscode.TreeItem {
    const { job } = node;
    const { state, title, message, error, promptTokens, answerTokens } = job.state;
    const item = new vscode.TreeItem(title);
    item.id = `job ${job.id}`;
    item.description = message;
    item.contextValue = `job.${runs(state) ? 'running' : state}`;
    item.iconPath = new vscode.ThemeIcon(icons[state]);
    item.accessibilityInformation = { label: spokenOf(node), role: 'treeitem' };
    // As a text and not as Markdown: the model wrote it.
    const lines = [`Job ${job.id}: ${title}`, message];
    if (error !== undefined) lines.push(error);
    if (promptTokens > 0) lines.push(`${promptTokens} tokens read, ${answerTokens} written`);
    if (job.text !== '') lines.push('', job.text.slice(-500));
    item.tooltip = lines.join('\n');
    item.command = {
      command: state === 'waiting' ? 'hearth.previewJob' : 'hearth.followJob',
      title: 'Open',
      // The job's number: the node may be another object by then.
      arguments: [job.id],
    };
    return item;
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.stop();
    this.view.dispose();
    this.changed.dispose();
  }
}
