// Where the program `hearth` is: in the settings, on the PATH, where its own installation puts it,
// or beside the extension. Imports nothing of VS Code.
import * as path from 'node:path';

export interface Surroundings {
  setting: string; // hearth.path; empty: not set
  home: string;
  path: string; // of the environment
  extension: string; // the extension's own folder
  folders: readonly string[]; // of the workspace, for a relative setting
  isExecutable: (file: string) => boolean;
}

export type Found = { program: string } | { missing: string };

const name = 'hearth';

// Editors that a desktop starts often have a shorter PATH than a terminal.
export const usualFolders = (home: string): string[] => [
  path.join(home, '.local', 'bin'),
  '/usr/local/bin',
  '/usr/bin',
];

function expanded(setting: string, home: string): string {
  if (setting === '~' || setting.startsWith('~/')) return path.join(home, setting.slice(1));
  return setting.replaceAll('${userHome}', home);
}

export function findProgram(where: Surroundings): Found {
  const setting = expanded(where.setting.trim(), where.home);
  const onPath = where.path.split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  if (setting !== '') {
    const candidates = path.isAbsolute(setting)
      ? [setting]
      : setting.includes('/')
        ? where.folders.map((folder) => path.join(folder, setting))
        : onPath.map((folder) => path.join(folder, setting));
    const found = candidates.find(where.isExecutable);
    if (found) return { program: found };
    return { missing: `The setting hearth.path names ${setting}, which is no program here.` };
  }
  const folders = [...onPath, ...usualFolders(where.home), path.join(where.extension, 'bin')];
  const found = folders.map((folder) => path.join(folder, name)).find(where.isExecutable);
  if (found) return { program: found };
  return { missing: 'The program hearth was not found on the PATH, nor where it is installed.' };
}
