// A notification where a job that took long ends, or waits, while its window is elsewhere; none
// otherwise. Imports VS Code for showing only: what is worth telling is notable.ts's.
import * as vscode from 'vscode';
import type { Connection } from './connection.ts';
import { isNotable } from './notable.ts';

export function notifyOfEnds(connection: Connection): vscode.Disposable {
  const stop = connection.jobs.onChange(({ job, before, delta }) => {
    if (delta !== undefined || before === undefined) return;
    const after = vscode.workspace.getConfiguration('hearth').get<number>('notify.after', 20) * 1000;
    const elsewhere = !vscode.window.state.focused;
    if (!isNotable({ job, before, now: Date.now(), after, elsewhere })) return;
    void vscode.window
      .showInformationMessage(`hearth: ${job.state.title}: ${job.state.message}`, 'Show')
      .then((chosen) => {
        if (chosen === undefined) return;
        const command = job.state.state === 'waiting' ? 'hearth.previewJob' : 'hearth.followJob';
        void vscode.commands.executeCommand(command, job.id);
      });
  });
  return new vscode.Disposable(stop);
}
