// Who wrote the ghost text that shows, where several engines answer or another machine's. VS Code says
// neither what it shows nor that it does not any more: told by where the cursor goes and what is typed;
// what Escape sent away is taken for shown until then. Imports nothing of VS Code.
import type { Position } from './protocol.ts';

// A completion's text, and where it begins: what was typed since begins like it.
export interface GhostItem {
  start: Position;
  text: string;
}

// Where a person is.
export interface Cursor {
  uri: string;
  version: number; // of the document
  position: Position;
  from(start: Position): string; // the text between there and the cursor
}

interface Shown extends Pick<Cursor, 'uri' | 'version' | 'position'> {
  items: readonly GhostItem[];
  by: string;
}

function isBefore(one: Position, other: Position): boolean {
  return one.line < other.line || (one.line === other.line && one.character < other.character);
}

export class Ghost {
  private shown: Shown | undefined;

  get by(): string | undefined {
    return this.shown?.by;
  }

  // These came for what is at the cursor; without a signature nothing is said.
  came(items: readonly GhostItem[], by: string | undefined, at: Cursor): void {
    const { uri, version, position } = at;
    this.shown = by === undefined ? undefined : { uri, version, position, items, by };
    this.moved(at);
  }

  moved(at: Cursor): void {
    if (!this.shown) return;
    const { uri, version, position, items } = this.shown;
    const typed = version !== at.version;
    const stays = !isBefore(position, at.position) && !isBefore(at.position, position);
    const goesOn = ({ start, text }: GhostItem): boolean => {
      const written = at.from(start);
      return !isBefore(at.position, start) && text.startsWith(written) && text !== written;
    };
    if (uri === at.uri && (typed || stays) && items.some(goesOn)) {
      this.shown = { ...this.shown, version: at.version, position: at.position };
    } else {
      this.shown = undefined;
    }
  }

  gone(): void {
    this.shown = undefined;
  }
}
