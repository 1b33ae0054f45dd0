// What stands for VS Code in tests of the parts that show something: no more of it than they use. What
// they ask of it is noted. To be imported before them, and they by import().
import { registerHooks } from 'node:module';

export class Uri {
  readonly scheme: string;
  readonly path: string;
  readonly query: string;
  constructor(scheme: string, path: string, query = '') {
    this.scheme = scheme;
    this.path = path;
    this.query = query;
  }
  static file(path: string): Uri {
    return new Uri('file', path);
  }
  static joinPath(base: Uri, ...parts: string[]): Uri {
    return base.with({ path: [base.path, ...parts].join('/') });
  }
  with(change: { scheme?: string; path?: string; query?: string }): Uri {
    return new Uri(change.scheme ?? this.scheme, change.path ?? this.path, change.query ?? this.query);
  }
  toString(): string {
    return `${this.scheme}:${this.path}${this.query === '' ? '' : `?${this.query}`}`;
  }
}

class EventEmitter {
  readonly event = (): object => ({ dispose() {} });
  fire(): void {}
  dispose(): void {}
}

class Position {
  readonly line: number;
  readonly character: number;
  constructor(line: number, character: number) {
    this.line = line;
    this.character = character;
  }
}

class Range {
  readonly start: Position;
  readonly end: Position;
  constructor(start: Position, end: Position) {
    this.start = start;
    this.end = end;
  }
}

class CancellationTokenSource {
  readonly token = { isCancellationRequested: false };
  cancel(): void {
    this.token.isCancellationRequested = true;
  }
  dispose(): void {}
}

// An editor whose only line is `text`, with the cursor at its end.
export class Editor {
  readonly document = {
    uri: Uri.file('/p/a.py'),
    version: 1,
    getText: ({ start, end }: Range): string => this.text.slice(start.character, end.character),
  };
  text: string;
  constructor(text: string) {
    this.text = text;
  }
  get selection(): object {
    return { active: new Position(0, this.text.length) };
  }
}

// It is the active one, and its cursor has moved.
const onSelection = new Set<(event: { textEditor: Editor }) => void>();
export function moved(editor: Editor): void {
  vscode.window.activeTextEditor = editor;
  for (const listener of onSelection) listener({ textEditor: editor });
}

// The text of each file, by its URI; and the commands that were executed, with their arguments.
export const files = new Map<string, string>();
export const executed: unknown[][] = [];

const nothing = (): object => ({ dispose() {} });
const vscode = {
  Uri,
  EventEmitter,
  Position,
  Range,
  CancellationTokenSource,
  Disposable: { from: nothing },
  TabInputTextDiff: class {},
  ViewColumn: { Beside: -2 },
  commands: {
    executeCommand: (...words: unknown[]): Promise<void> => {
      executed.push(words);
      return Promise.resolve();
    },
  },
  window: {
    activeTextEditor: undefined as Editor | undefined,
    tabGroups: { all: [], onDidChangeTabs: nothing },
    onDidChangeTextEditorSelection: (listener: (event: { textEditor: Editor }) => void): object => {
      onSelection.add(listener);
      return { dispose: () => onSelection.delete(listener) };
    },
    onDidChangeActiveTextEditor: nothing,
  },
  workspace: {
    getConfiguration: () => ({ get: () => undefined }),
    onDidChangeTextDocument: nothing,
    registerTextDocumentContentProvider: nothing,
    openTextDocument: (uri: Uri) => {
      const text = files.get(uri.toString());
      if (text === undefined) return Promise.reject(new Error(`there is no file ${uri.toString()}`));
      return Promise.resolve({ getText: () => text });
    },
  },
};

// The client is there to be named: nothing is started.
const client = { CloseAction: {}, ErrorAction: {}, LanguageClient: class {}, State: {} };

const inPlace: Record<string, object> = { vscode, 'vscode-languageclient/node': client };
(globalThis as { inPlaceOfModules?: object }).inPlaceOfModules = inPlace;
function sourceOf(name: string): string {
  return Object.keys(inPlace[name] ?? {})
    .map((each) => `export const ${each} = globalThis.inPlaceOfModules['${name}'].${each};`)
    .join('\n');
}
registerHooks({
  resolve: (specifier, context, next) =>
    specifier in inPlace
      ? { url: `data:text/javascript,${encodeURIComponent(sourceOf(specifier))}`, shortCircuit: true }
      : next(specifier, context),
});
