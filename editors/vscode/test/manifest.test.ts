// package.json against what the code has and what a server's commands may be called.
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';

const root = new URL('..', import.meta.url);
const read = (file: string): string => fs.readFileSync(new URL(file, root), 'utf8');
const manifest = JSON.parse(read('package.json'));
const { commands, menus, keybindings, walkthroughs, configuration, views, viewsWelcome } =
  manifest.contributes;
const names: string[] = commands.map(({ command }: { command: string }) => command);

test('no command has the name of one of the server’s', () => {
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^hearth\.(?!server\.|session\.)\w+$/);
});

test('every command is registered, and every other word for one exists', () => {
  const source = read('src/commands.ts');
  const loops = new Set(['explain', 'ask', 'edit', 'review', 'document', 'fix', 'tests']);
  const verbs = /^hearth\.(pause|resume|cancel|retry|apply|dismiss)Job$/;
  for (const name of names) {
    const known = source.includes(`'${name}'`) || loops.has(name.slice(7)) || verbs.test(name);
    assert.ok(known, `${name} is registered nowhere`);
  }
  const used = [
    ...(Object.values(menus) as { command?: string }[][]).flat().flatMap(({ command }) => command ?? []),
    ...keybindings.map(({ command }: { command: string }) => command),
    ...[...JSON.stringify([walkthroughs, viewsWelcome]).matchAll(/command:(hearth\.\w+)/g)].map(([, name]) => name),
  ];
  for (const name of used) assert.ok(names.includes(name), `${name} does not exist`);
});

test('every command has a title, in one category', () => {
  for (const { title, category } of commands) {
    assert.ok(title.length > 0);
    assert.equal(category, 'hearth');
  }
});

test('Escape stops only where it means nothing else', () => {
  for (const { key, when } of keybindings) {
    if (key === 'escape') assert.match(when, /^hearth\.busy && /);
    else assert.match(key, /^ctrl\+k alt\+\w+$/);
  }
});

test('what the views, settings and files are called holds together', () => {
  assert.deepEqual(views.hearth.map(({ id }: { id: string }) => id), ['hearth.answers', 'hearth.jobs']);
  for (const name of Object.keys(configuration.properties)) assert.match(name, /^hearth\.[\w.]+$/);
  for (const step of walkthroughs[0].steps) {
    const { markdown, image } = step.media;
    for (const file of image ? Object.values<string>(image) : [markdown]) {
      assert.ok(fs.existsSync(new URL(file, root)), file);
    }
  }
});

test('the walkthrough is in the words that VS Code renders there, and its pictures are small', () => {
  for (const { title, description, media } of walkthroughs[0].steps) {
    // ``code``, **bold**, __italic__ and [links](command:…) alone.
    const rest = description.replaceAll(/``[^`]+``|\*\*[^*]+\*\*/g, '');
    assert.doesNotMatch(rest, /[`*]/, title);
    if (media.image) assert.ok(media.altText.length > 0, title);
  }
  const folder = new URL('media/', root);
  const pictures = fs.readdirSync(folder).filter((file) => file.endsWith('.png'));
  const bytes = pictures.reduce((sum, file) => sum + fs.statSync(new URL(file, folder)).size, 0);
  assert.ok(bytes <= 500_000, `${bytes} bytes of pictures`);
});

test('it works where VS Code expects it: remote, and in workspaces that are not trusted', () => {
  assert.deepEqual(manifest.extensionKind, ['workspace']);
  assert.equal(manifest.capabilities.untrustedWorkspaces.supported, 'limited');
  assert.ok(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations.includes('hearth.path'));
  assert.equal(manifest.capabilities.virtualWorkspaces.supported, false);
});

test('pure modules import nothing of VS Code, and nothing opens a connection', () => {
  for (const file of fs.readdirSync(new URL('src', root)).filter((each) => each.endsWith('.ts'))) {
    const source = read(`src/${file}`);
    if (/Imports nothing of\s+(?:\/\/ )?VS Code/.test(source)) {
      assert.doesNotMatch(source, /from 'vscode/, file);
    }
    assert.doesNotMatch(source, /from 'node:(http|https|net|tls|dns)'|\bfetch\(|XMLHttpRequest/, file);
  }
});

test('versions are pinned', () => {
  for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version as string, /^\d+\.\d+\.\d+$/);
  }
  assert.doesNotMatch(read('package-lock.json'), /"resolved"/);
});
