// Unified diffs as the server writes them for a change that waits, applied to a text as it is now:
// a hunk may have moved, and lines around the change may be others, but every line that it removes
// has to be there. Imports nothing of VS Code.

export interface Hunk {
  line: number; // from 0, where it began in the text before
  before: string[];
  after: string[];
}
export interface FilePatch {
  path: string; // as display_path() has it: relative to its folder
  isNew: boolean; // there is no such file yet
  hunks: Hunk[];
}

// Whether a path of a patch, relative to some folder, can be that file's.
export const isPathOf = (path: string, file: string): boolean => file.endsWith(`/${path}`);

// Whether a file of a patch is the one that was asked about, `own`. The only one is, by whatever path.
export const isOwnFile = ({ path, isNew }: FilePatch, files: readonly FilePatch[], own: string): boolean =>
  !isNew && (files.length === 1 || isPathOf(path, own));

const newPattern = /^diff --git a\/(.*) b\/\1$/;
const headPattern = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

export function parsePatch(text: string): FilePatch[] {
  const files: FilePatch[] = [];
  let hunk: Hunk | undefined;
  let named = ''; // by the line before "new file mode": of an empty file nothing else is there
  let oldLeft = 0;
  let newLeft = 0;
  for (const line of text.split('\n')) {
    if (hunk && (oldLeft > 0 || newLeft > 0)) {
      const mark = line[0] ?? ' ';
      const rest = line.slice(1);
      if (mark !== '+' && mark !== '-' && mark !== ' ') continue; // "\ No newline at end of file"
      if (mark !== '+') {
        hunk.before.push(rest);
        oldLeft -= 1;
      }
      if (mark !== '-') {
        hunk.after.push(rest);
        newLeft -= 1;
      }
      continue;
    }
    const head = headPattern.exec(line);
    if (head) {
      const [, begin = '1', oldCount = '1', , newCount = '1'] = head;
      oldLeft = Number(oldCount);
      newLeft = Number(newCount);
      // Of no lines, the number is that of the line before them.
      hunk = { line: oldLeft === 0 ? Number(begin) : Number(begin) - 1, before: [], after: [] };
      files.at(-1)?.hunks.push(hunk);
    } else if (line.startsWith('diff --git ')) {
      named = newPattern.exec(line)?.[1] ?? '';
    } else if (line.startsWith('new file mode ')) {
      hunk = undefined;
      files.push({ path: named, isNew: true, hunks: [] });
    } else if (line.startsWith('+++ ')) {
      hunk = undefined;
      const path = line.slice(line.startsWith('+++ b/') ? 6 : 4);
      const last = files.at(-1);
      if (last?.isNew !== true || last.path !== path) files.push({ path, isNew: false, hunks: [] });
    }
  }
  return files;
}

// Where `wanted` stands in `lines`, the place nearest to `near`, not before `from`; -1: nowhere.
function place(lines: readonly string[], wanted: readonly string[], near: number, from: number): number {
  const last = lines.length - wanted.length;
  const fits = (at: number): boolean =>
    at >= from && at <= last && wanted.every((line, index) => lines[at + index] === line);
  for (let distance = 0; distance <= lines.length; distance += 1) {
    if (fits(near - distance)) return near - distance;
    if (fits(near + distance)) return near + distance;
  }
  return -1;
}

// How many lines both have at their beginning, and how many of the rest at their end.
function kept({ before, after }: Hunk): { head: number; tail: number } {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < most - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  return { head, tail };
}

// The hunk with fewer and fewer lines around its change, as long as it names a line at all.
function* narrowed(hunk: Hunk): Generator<Hunk> {
  yield hunk;
  const { head, tail } = kept(hunk);
  for (let fewer = 1; fewer <= Math.max(head, tail); fewer += 1) {
    for (const [above, below] of [[fewer, 0], [0, fewer], [fewer, fewer]] as const) {
      if (above > head || below > tail) continue;
      const end = hunk.before.length - below;
      if (end - above < 1) continue;
      yield {
        line: hunk.line + above,
        before: hunk.before.slice(above, end),
        after: hunk.after.slice(above, hunk.after.length - below),
      };
    }
  }
}

// The text with the change; undefined where it has no place any more. Line ends stay.
export function applyPatch(text: string, hunks: readonly Hunk[]): string | undefined {
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(/\r\n|\r|\n/);
  const result: string[] = [];
  let at = 0;
  let moved = 0;
  for (const whole of hunks) {
    let made = false;
    for (const hunk of narrowed(whole)) {
      const found = place(lines, hunk.before, hunk.line + moved, at);
      if (found < 0) continue;
      result.push(...lines.slice(at, found), ...hunk.after);
      moved = found - hunk.line;
      at = found + hunk.before.length;
      made = true;
      break;
    }
    if (!made) return undefined;
  }
  result.push(...lines.slice(at));
  return result.join(end);
}

// Where `code` goes: in place of `old`, which stood at `offset` and may have moved since. Undefined:
// it is not there any more, or in several other places.
export function placeOf(text: string, old: string, offset: number): number | undefined {
  if (old === '') return undefined;
  if (text.startsWith(old, offset)) return offset;
  const first = text.indexOf(old);
  return first >= 0 && text.indexOf(old, first + 1) < 0 ? first : undefined;
}

// A block of code with the indentation and the end of the one that it is to replace: models write
// what was shown to them without its indentation.
export function fitted(code: string, old: string): string {
  const indentation = (text: string): string => /^[ \t]*/.exec(firstLine(text))?.[0] ?? '';
  const wanted = indentation(old);
  const present = indentation(code);
  let result = code;
  if (wanted !== present && wanted.startsWith(present)) {
    const more = wanted.slice(present.length);
    result = code.replaceAll(/^(?=.*\S)/gm, more);
  }
  const body = result.replace(/\s+$/, '');
  return body + (/\s*$/.exec(old)?.[0] ?? '');
}

const firstLine = (text: string): string => text.split('\n').find((line) => line.trim() !== '') ?? '';

// The one replacement that makes `after` of `before`: only what differs, so that cursors and marks
// elsewhere stay.
export function replacement(before: string, after: string): { start: number; end: number; text: string } {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start += 1;
  let tail = 0;
  while (tail < most - start && before[before.length - 1 - tail] === after[after.length - 1 - tail]) {
    tail += 1;
  }
  return { start, end: before.length - tail, text: after.slice(start, after.length - tail) };
}
