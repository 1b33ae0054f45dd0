// The prompts of a repository's team as the server tells of them, and what a person is shown before
// they are used. Imports nothing of VS Code.

export interface TeamPrompt {
  name: string;
  path: string; // in the folder
  action: string; // whose words these are
  title?: string; // of an action of the team's own
  text: string;
}

export interface TeamFolder {
  folder: string; // its URI
  hash: string; // of all names and texts; empty: there are no prompts
  confirmed: string; // the hash that a person has confirmed last; empty: none
  prompts: TeamPrompt[];
  ignored: string[]; // files that are not used, a sentence each
}

export type TeamState = 'none' | 'new' | 'changed' | 'used';

export function stateOf({ hash, confirmed }: TeamFolder): TeamState {
  if (hash === '') return 'none';
  if (hash === confirmed) return 'used';
  return confirmed === '' ? 'new' : 'changed';
}

const count = (prompts: readonly TeamPrompt[]): string =>
  prompts.length === 1 ? '1 prompt' : `${prompts.length} prompts`;

// What a person is asked, or told, beside the text of all of them.
export function question(name: string, folder: TeamFolder, isTrusted: boolean): string {
  const what = `${count(folder.prompts)} of the team in ${name}`;
  const state = stateOf(folder);
  if (state === 'used') return `The ${what} ${folder.prompts.length === 1 ? 'is' : 'are'} in use.`;
  const trust = isTrusted ? '' : ' You have not said that you trust this workspace.';
  const changed = state === 'changed' ? ' Something in them has changed since you applied them.' : '';
  return `Apply the ${what}, as shown?${changed}${trust}`;
}

const whatItDoes = ({ action, title }: TeamPrompt): string => {
  if (title === undefined) return `the words of the action “${action}”`;
  return action === 'edit' ? `“${title}”, changes code` : `“${title}”, answers about code`;
};

// Longer than any run of backticks in it.
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}\n`;
}

// All that is in them, as Markdown.
export function shownText(name: string, folder: TeamFolder): string {
  const parts = [
    `# Prompts of the team in ${name}\n`,
    'What the model is asked. It is text for the model and sets nothing else. It is used once you have\n' +
      'applied it, and no more when it has changed; your own prompts go before it.\n',
    `Content: ${folder.hash}\n`,
  ];
  for (const prompt of folder.prompts) {
    parts.push(`## ${prompt.path}: ${whatItDoes(prompt)}\n`, fenced(prompt.text));
  }
  if (folder.ignored.length > 0) {
    parts.push('## Not used\n', folder.ignored.map((each) => `- ${each}\n`).join(''));
  }
  return parts.join('\n');
}

// The server ends a job's title so.
export const isInTeamWords = (title: string): boolean => title.endsWith("(the team's words)");
