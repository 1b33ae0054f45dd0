// From the settings of VS Code to those that a session tells its server: only what a person has
// set, so that everything else stays as config.toml has it. Imports nothing of VS Code.

// The keys of config.toml that an editor can set for its session.
export const sessionKeys = [
  'inline.automatic',
  'actions.disabled',
  'off.languages',
  'off.paths',
] as const;
export type SessionKey = (typeof sessionKeys)[number];

// `read` returns undefined for what nobody has set.
export function serverSettings(read: (key: SessionKey) => unknown): Record<string, unknown> {
  const result: Record<string, Record<string, unknown>> = {};
  for (const key of sessionKeys) {
    const value = read(key);
    if (value === undefined || !isValid(key, value)) continue;
    const [section, name] = key.split('.') as [string, string];
    (result[section] ??= {})[name] = value;
  }
  return result;
}

function isValid(key: SessionKey, value: unknown): boolean {
  if (key === 'inline.automatic') return typeof value === 'boolean';
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}
