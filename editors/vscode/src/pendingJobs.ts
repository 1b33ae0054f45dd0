// Which job a command has begun: the server answers the command with null and then tells of the
// job, or says that a person has declined. Imports nothing of VS Code.
import type { JobStateParams } from './protocol.ts';

interface Pending {
  action: string;
  resolve: (id: number) => void;
  stopped: boolean;
}

// A person was asked something first, and said no.
export class Declined extends Error {}

function declinedIn(answer: unknown): string | undefined {
  const said = (answer as { declined?: unknown } | null)?.declined;
  return typeof said === 'string' ? said : undefined;
}

export class PendingJobs {
  private all: Pending[] = [];

  // The number of the first new job of this action after now; fails where `answer` does.
  begin(action: string, answer: Promise<unknown>): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      const pending: Pending = { action, resolve, stopped: false };
      this.all.push(pending);
      const fail = (error: unknown): void => {
        this.all = this.all.filter((each) => each !== pending);
        reject(error instanceof Error ? error : new Error(String(error)));
      };
      answer.then((said) => {
        const declined = declinedIn(said);
        if (declined !== undefined) fail(new Declined(`Declined: ${declined}.`));
      }, fail);
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
