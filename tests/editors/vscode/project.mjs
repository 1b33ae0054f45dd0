// The files that the tour works on. What the embedded checkpoint answers about them is known:
// tests/editors/neovim.lua asks the same.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export const average = `def average(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)
`;
export const explanation =
  'Computes the average of the values: it adds them up and divides the total by their number.';

export const settings = `import json
import os


def load_config(path, default=None):
    """Read the configuration file."""
    if not os.path.exists(path):
        return default
    with open(path) as handle:
        return json.load(handle)


def save_config(path, config):
    with open(path, "w") as handle:


def remove_config(path):
    os.remove(path)
`;
// Where Enter at the end of the line makes the place that a completion is for.
export const holeAfter = { line: 14, column: 36 };
export const completion = 'json.dump(config, handle, indent=2)';

// Long enough that there is time to stop it.
export const totals = [
  'def totals(values):',
  '    total = 0',
  ...Array.from({ length: 120 }, (_, i) => `    total += values[${i + 1}] * ${(i + 1) ** 2}`),
  '    return total',
  '',
].join('\n');

// So many that there is time to pause them.
export const batch = Array.from({ length: 12 }, (_, i) => `batch/part${i + 1}.py`);

function git(folder, ...words) {
  const done = spawnSync('git', ['-c', 'user.name=tour', '-c', 'user.email=tour@localhost', ...words], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(`git ${words.join(' ')}: ${done.stderr}`);
}

// A repository with these files in it, all committed.
export function makeProject(folder) {
  const files = {
    'settings.py': settings,
    'again.py': settings,
    'stats.py': average,
    'totals.py': totals,
    'frozen.py': average,
    'values.py': average,
    '.env': 'KEY=1\n',
  };
  for (const name of batch) files[name] = average;
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  git(folder, 'init', '--quiet');
  git(folder, 'add', '.');
  git(folder, 'commit', '--quiet', '--message', 'The beginning');
  return folder;
}

// Prompts of the team's, in words that the embedded checkpoint knows.
export function writePrompts(folder, prompts) {
  const place = path.join(folder, '.hearth', 'prompts');
  fs.mkdirSync(place, { recursive: true });
  for (const [name, text] of Object.entries(prompts)) fs.writeFileSync(path.join(place, name), text);
}
export const explainWords = 'Explain what this code does.\n';

export const stage = (folder, name) => git(folder, 'add', name);
