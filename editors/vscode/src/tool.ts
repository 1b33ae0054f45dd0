// Asks the program `hearth` what only its commands tell: other words than `lsp`. Imports nothing of
// VS Code.
import { execFile } from 'node:child_process';

const timeout = 10_000; // milliseconds
const maxBuffer = 16 * 1024 * 1024;

export function ask(program: string, ...words: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, words, { timeout, maxBuffer }, (error, out, said) => {
      if (!error) return resolve(out);
      const last = said.trim().split('\n').at(-1) ?? '';
      reject(new Error(last.replace(/^hearth: /, '') || error.message));
    });
  });
}

export async function askJson(program: string, ...words: string[]): Promise<Record<string, unknown>> {
  const answer: unknown = JSON.parse(await ask(program, ...words, '--json'));
  if (typeof answer !== 'object' || answer === null) {
    throw new Error(`the answer of 'hearth ${words.join(' ')}' is not understood`);
  }
  return answer as Record<string, unknown>;
}
