// The item in the status bar, and the menu behind it.
import * as vscode from 'vscode';
import type { Connection } from './connection.ts';
import { statusLine, type StatusLine } from './statusText.ts';

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    'hearth.status',
    vscode.StatusBarAlignment.Right,
    100,
  );
  private readonly connection: Connection;
  private readonly stops: vscode.Disposable[] = [];
  private timer: NodeJS.Timeout | undefined;
  private shown = '';
  private completing_ = 0;
  private busy = false;
  private by: string | undefined;
  snoozedUntil = 0;

  constructor(connection: Connection) {
    this.connection = connection;
    this.item.name = 'hearth';
    this.item.command = 'hearth.menu';
    const stop = connection.jobs.onChange(({ delta }) => {
      if (delta === undefined) this.update();
    });
    this.stops.push(new vscode.Disposable(stop), connection.onChange(() => this.update()));
    // Only what counts down by itself.
    this.timer = setInterval(() => {
      if (this.snoozedUntil > 0) this.update();
    }, 10_000);
    this.update();
    this.item.show();
  }

  // One more completion is asked for; the function that it returns says that it came.
  completing(): () => void {
    this.completing_ += 1;
    this.update();
    return () => {
      this.completing_ -= 1;
      this.update();
    };
  }

  // By whom the completion that shows is, where that is said.
  signed(by: string | undefined): void {
    if (by === this.by) return;
    this.by = by;
    this.update();
  }

  update(): void {
    this.draw(this.line());
    const { asking, jobs } = this.connection;
    const busy = this.completing_ > 0 || asking || jobs.running().length > 0;
    if (busy === this.busy) return;
    this.busy = busy;
    // Behind the item, which VS Code sends by a timer: a person looks at that first.
    setTimeout(() => void vscode.commands.executeCommand('setContext', 'hearth.busy', busy), 0);
  }

  private draw(line: StatusLine): void {
    const key = JSON.stringify(line);
    if (key === this.shown) return;
    this.shown = key;
    this.item.text = line.text;
    this.item.accessibilityInformation = { label: line.spoken, role: 'button' };
    this.item.tooltip = line.tooltip;
    this.item.backgroundColor =
      line.kind === 'normal'
        ? undefined
        : new vscode.ThemeColor(`statusBarItem.${line.kind}Background`);
  }

  private line(): StatusLine {
    return statusLine({
      connection: this.connection.state,
      model: this.connection.model,
      jobs: this.connection.jobs.all(),
      asking: this.connection.asking,
      completing: this.completing_,
      by: this.by,
      snoozedUntil: this.snoozedUntil,
      now: Date.now(),
    });
  }

  dispose(): void {
    clearInterval(this.timer);
    this.item.dispose();
    for (const each of this.stops) each.dispose();
  }
}
