// Tells of something once it has been so for a while, however often that is looked at meanwhile: not
// of what passes while a person types. Imports nothing of VS Code.

export class Settled {
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly told = new Set<string>();
  private readonly after: number; // milliseconds since it was looked at last
  private readonly tell: () => void;

  constructor(after: number, tell: () => void) {
    this.after = after;
    this.tell = tell;
  }

  set(key: string, isSo: boolean): void {
    clearTimeout(this.timers.get(key));
    this.timers.delete(key);
    if (!isSo) {
      this.told.delete(key);
    } else if (!this.told.has(key)) {
      const timer = setTimeout(() => {
        this.timers.delete(key);
        this.told.add(key);
        this.tell();
      }, this.after);
      this.timers.set(key, timer);
    }
  }

  forget(key: string): void {
    this.set(key, false);
  }

  dispose(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }
}
