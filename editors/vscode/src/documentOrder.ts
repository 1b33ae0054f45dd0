// The order of what the server is told of one document. The client sends a close without the delay
// that a change has, so that a close in the same turn overtakes it: the server would hear of a change
// of what is not open. Here a close waits for the changes before it, and what follows for the close.
// Everything else goes at once. Imports nothing of VS Code.

type Send = () => Promise<void>;

export class DocumentOrder {
  private readonly changes = new Map<string, Set<Promise<void>>>(); // on their way, by URI
  private readonly held = new Map<string, Promise<void>>(); // the last one that waits, by URI

  change(uri: string, send: Send): Promise<void> {
    if (this.held.has(uri)) return this.hold(uri, send);
    const sent = send();
    const under = this.changes.get(uri) ?? new Set();
    this.changes.set(uri, under.add(sent));
    const over = (): void => {
      under.delete(sent);
      if (under.size === 0 && this.changes.get(uri) === under) this.changes.delete(uri);
    };
    sent.then(over, over);
    return sent;
  }

  close(uri: string, send: Send): Promise<void> {
    return this.changes.has(uri) || this.held.has(uri) ? this.hold(uri, send) : send();
  }

  // `send` takes the document as it is now, not as it is when it is called.
  open(uri: string, send: Send): Promise<void> {
    return this.held.has(uri) ? this.hold(uri, send) : send();
  }

  // Whether something waits, so that an opening has to keep its text.
  holds(uri: string): boolean {
    return this.held.has(uri);
  }

  private hold(uri: string, send: Send): Promise<void> {
    const before = this.held.get(uri) ?? Promise.allSettled(this.changes.get(uri) ?? []);
    const sent = Promise.resolve(before).then(send, send);
    const over = (): void => {
      if (this.held.get(uri) === sent) this.held.delete(uri);
    };
    this.held.set(uri, sent);
    sent.then(over, over);
    return sent;
  }
}
