// Which job a command has begun: the server answers the command with null and then tells of the
// job. Imports nothing of VS Code.
import type { JobStateParams } from './protocol.ts';

interface Pending {
  action: string;
  resolve: (id: number) => void;
  stopped: boolean;
}

export class PendingJobs {
  private all: Pending[] = [];

  // The number of the first new job of this action after now; fails where `answer` does.
  begin(action: string, answer: Promise<unknown>): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      // An older one that is still there asked a person something, who said no.
      const pending: Pending = { action, resolve, stopped: false };
      this.all.push(pending);
      answer.catch((error: unknown) => {
        this.all = this.all.filter((each) => each !== pending);
        reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  get any(): boolean {
    return this.all.some(({ stopped }) => !stopped);
  }

  // A person does not want any of them any more.
  stop(): void {
    for (const each of this.all) each.stopped = true;
  }

  // Whether the job is one that was stopped before it was there.
  began(state: JobStateParams): boolean {
    const index = this.all.findIndex(({ action }) => action === state.action);
    if (index < 0) return false;
    const [found] = this.all.splice(index, 1);
    found?.resolve(state.id);
    return found?.stopped === true;
  }
}
