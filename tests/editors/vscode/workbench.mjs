// The workbench of VS Code in a browser, driven as a person does: keys, the mouse, and what is on
// the screen. Owns the server (code-server), the browser and the folder of screenshots.
import { createRequire } from 'node:module';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

// playwright-core lies where `install` has put it, not beside this file.
const { chromium } = createRequire(process.env.HEARTH_WORKBENCH)('playwright-core');

// After so long a wait has failed, far beyond what a slow machine needs.
export const limit = 1000 * Number(process.env.HEARTH_LIMIT ?? 60);

const chromiumArguments = [
  '--no-sandbox', // it may be root who tests; the pages are our own
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

// What would stand in the way, or ask the network. hearth's own settings are a test's affair.
const quietSettings = {
  'chat.disableAIFeatures': true,
  'editor.minimap.enabled': false,
  'extensions.ignoreRecommendations': true,
  'files.autoSave': 'off',
  'git.openRepositoryInParentFolders': 'never',
  'security.workspace.trust.enabled': false,
  'security.workspace.trust.startupPrompt': 'never',
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.commandCenter': false,
  'workbench.colorTheme': 'Light Modern',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
};

const plain = (text) => text.replaceAll('\u00a0', ' ').replaceAll('\u200b', '');
const quoted = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const appears = (locator) =>
  locator.waitFor({ timeout: 2000 }).then(
    () => true,
    () => false,
  );

async function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// A code-server with an extension in it and directories of its own.
export class Server {
  // options: {modules, scratch, environment, vsix}: the folder of node_modules, a folder that is
  // removed after the test, the server's environment, the extension.
  static async start(options) {
    const server = new Server();
    server.data = path.join(options.scratch, 'vscode');
    server.modules = options.modules;
    server.environment = options.environment;
    fs.mkdirSync(path.join(server.data, 'User'), { recursive: true });
    server.set({});
    server.port = await freePort();
    fs.writeFileSync(path.join(server.data, 'config.yaml'), 'auth: none\n');
    server.installs(options.vsix);
    server.log = path.join(server.data, 'server.log');
    const log = fs.openSync(server.log, 'w');
    server.process = spawn(
      process.execPath,
      [...server.arguments(), '--bind-addr', `127.0.0.1:${server.port}`, '--disable-telemetry',
        '--disable-update-check', '--disable-getting-started-override', '--session-socket',
        path.join(server.data, 's')],
      { stdio: ['ignore', log, log], env: server.environment, detached: true },
    );
    await server.waitUntilUp();
    return server;
  }

  arguments() {
    return [path.join(this.modules, 'code-server'), '--config', path.join(this.data, 'config.yaml'),
      '--user-data-dir', this.data, '--extensions-dir', path.join(this.data, 'extensions')];
  }

  installs(vsix) {
    const done = spawnSync(process.execPath, [...this.arguments(), '--install-extension', vsix], {
      env: this.environment,
      encoding: 'utf8',
    });
    if (done.status !== 0) throw new Error(`${vsix} was not installed:\n${done.stdout}${done.stderr}`);
  }

  // The user's settings; a window follows them at once.
  set(settings) {
    fs.writeFileSync(
      path.join(this.data, 'User', 'settings.json'),
      JSON.stringify({ ...quietSettings, ...settings }, null, 2),
    );
  }

  addSnippet(language, snippets) {
    const folder = path.join(this.data, 'User', 'snippets');
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, `${language}.json`), JSON.stringify(snippets));
  }

  async waitUntilUp() {
    const end = Date.now() + limit;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/healthz`).catch(() => undefined);
      if (answer?.ok) return;
      if (Date.now() > end || this.process.exitCode !== null) {
        throw new Error(`code-server did not come up:\n${fs.readFileSync(this.log, 'utf8')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async stop() {
    if (!this.process || this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.on('exit', resolve));
    // With all that it has started: hosts of extensions live on for hours, waiting for their window.
    process.kill(-this.process.pid, 'SIGTERM');
    const late = setTimeout(() => process.kill(-this.process.pid, 'SIGKILL'), 5000);
    await ended;
    clearTimeout(late);
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch {
      // None is left.
    }
  }
}

export async function startBrowser(executablePath) {
  return chromium.launch({ executablePath, headless: true, args: chromiumArguments });
}

// One window of VS Code.
export class Workbench {
  static async open(browser, server, folder, screenshots) {
    const window = new Workbench();
    window.screenshots = screenshots;
    window.context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    window.page = await window.context.newPage();
    window.page.setDefaultTimeout(limit);
    window.errors = [];
    window.page.on('pageerror', (error) => window.errors.push(error.message));
    await window.page.goto(`http://127.0.0.1:${server.port}/?folder=${encodeURIComponent(folder)}`);
    await window.isThere();
    return window;
  }

  async isThere() {
    await this.page.locator('.monaco-workbench').waitFor();
    await this.page.locator('.statusbar-item[id*="hearth"]').first().waitFor();
  }

  // As a person does with F5: the window begins anew, with the settings as they are now.
  async reload() {
    await this.page.reload();
    await this.isThere();
  }

  async close() {
    await this.context.close();
  }

  // Notes every text of hearth's entry in the status bar from now on, and when it came, in
  // milliseconds of the page; likewise the last key. The result returns both.
  async watchStatus() {
    await this.page.evaluate(startWatchingStatus);
    return () => this.page.evaluate(() => window.hearthStatus);
  }

  // ── Keys and commands ──────────────────────────────────────────────────────────────────────

  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  // As a person types: key by key.
  async type(text, delay = 40) {
    await this.page.keyboard.type(text, { delay });
  }

  // Runs the command of this title from the palette.
  async command(title) {
    await this.openInput('F1', `>${title}`);
    await this.pick(title);
  }

  // A key that is pressed while the focus moves between frames is lost, and an input that has lost
  // the focus closes: then once more.
  async openInput(key, text) {
    const input = this.page.locator('.quick-input-widget input.input');
    await this.until(`the input that ${key} opens`, async () => {
      await this.press(key);
      if (!(await appears(input))) return false;
      return input.fill(text, { timeout: 2000 }).then(
        () => true,
        () => false,
      );
    });
    return input;
  }

  // Chooses the entry of the open quick pick that has these words.
  async pick(words) {
    const row = this.page.locator('.quick-input-widget .monaco-list-row', { hasText: words }).first();
    await row.click();
    await row.waitFor({ state: 'hidden' });
  }

  // The titles in the quick pick that is open.
  async picks() {
    const rows = this.page.locator('.quick-input-widget .monaco-list-row .label-name');
    await rows.first().waitFor();
    return (await rows.allInnerTexts()).map(plain);
  }

  // Answers the input box that is open.
  async answer(text) {
    const input = this.page.locator('.quick-input-widget input.input');
    await input.waitFor();
    await input.fill(text);
    await this.press('Enter');
  }

  // ── Editors ────────────────────────────────────────────────────────────────────────────────

  async openFile(name) {
    await this.press('Control+Shift+e');
    await this.page
      .locator('.explorer-folders-view .monaco-list-row', { hasText: new RegExp(`^${quoted(name)}`) })
      .first()
      .dblclick();
    await this.page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
    await this.page.locator('.editor-instance .view-lines').first().waitFor();
    await this.focusEditor();
  }

  // The keyboard goes to the active editor group.
  async focusEditor() {
    const focused = this.page.locator('.editor-instance .monaco-editor.focused').first();
    await this.until('the focus in the editor', async () => {
      await this.press('Control+1');
      return appears(focused);
    });
  }

  async closeEditors() {
    await this.command('View: Close All Editors');
    const dontSave = this.page.locator('.monaco-dialog-box .monaco-button', { hasText: "Don't Save" });
    await this.until('no editor', async () => {
      if (await dontSave.isVisible()) await dontSave.click({ timeout: 2000 }).catch(() => {});
      return (await this.page.locator('.editor-instance').count()) === 0;
    });
  }

  // The cursor goes to this line and column, both from 1.
  async goTo(line, column = 1) {
    const input = await this.openInput('Control+g', `:${line}:${column}`);
    await this.press('Enter');
    await input.waitFor({ state: 'hidden' });
    await this.page.locator('.editor-instance .monaco-editor.focused').first().waitFor();
  }

  async selectLines(first, last) {
    await this.goTo(first);
    for (let line = first; line < last; line++) await this.press('Shift+ArrowDown');
    await this.press('Shift+End');
  }

  // The lines in sight of the focused or only editor: {text: of the file, shown: with ghost text}.
  async lines() {
    return this.page.evaluate(readLines);
  }

  async text() {
    return (await this.lines()).map((line) => line.text).join('\n');
  }

  // What the ghost text says; '' where there is none.
  async ghost() {
    return this.page.evaluate(readGhost);
  }

  async waitForGhost(words = '') {
    await this.until(`ghost text ${words}`, async () => {
      const ghost = await this.ghost();
      return ghost !== '' && ghost.includes(words);
    });
    return this.ghost();
  }

  async cursor() {
    const words = await this.statusBar();
    const [, line, column] = /Ln (\d+), Col (\d+)/.exec(words) ?? [];
    return { line: Number(line), column: Number(column) };
  }

  // Looks at every frame that is drawn from now on; the result stops that and returns the different
  // sights of the given line, in their order.
  async watchLine(number) {
    await this.page.evaluate(startWatching, number);
    return () => this.page.evaluate(stopWatching);
  }

  // ── What is around the editor ──────────────────────────────────────────────────────────────

  async statusBar() {
    const items = await this.page.locator('.statusbar-item').allInnerTexts();
    return items.map((item) => plain(item).trim()).filter((item) => item !== '').join(' | ');
  }

  // Notes every text that the status bar has from now on. The result returns them.
  async watchStatusBar() {
    await this.page.evaluate(startWatchingStatusBar);
    return () => this.page.evaluate(() => [...window.hearthStatusBar]);
  }

  // The text of hearth's own entry in the status bar.
  async status() {
    const item = this.page.locator('.statusbar-item[id*="hearth"]').first();
    if ((await item.count()) === 0) return '';
    return plain(await item.innerText()).trim();
  }

  async notifications() {
    const toasts = this.page.locator('.notifications-toasts .notification-list-item-message');
    return (await toasts.allInnerTexts()).map(plain);
  }

  async waitForNotification(words) {
    await this.until(`a notification: ${words}`, async () =>
      (await this.notifications()).some((text) => text.includes(words)),
    );
  }

  async pressInNotification(words, label) {
    const toast = this.page.locator('.notifications-toasts .notification-list-item', { hasText: words });
    await toast.last().locator('.monaco-button', { hasText: label }).click();
  }

  async clearNotifications() {
    await this.command('Notifications: Clear All Notifications');
  }

  // The texts of the rows of a tree that are in sight.
  async rows(view) {
    const rows = this.page.locator(`${view} .monaco-list-row`);
    return (await rows.allInnerTexts()).map((text) => plain(text).replace(/\s+/g, ' ').trim());
  }

  // Presses a button that the last row with these words shows under the mouse.
  async pressInRow(view, words, title) {
    const row = this.page.locator(`${view} .monaco-list-row`, { hasText: words }).last();
    const button = row.locator(`.action-label[aria-label^="${title}"]`);
    // A tree that is drawn anew takes the button from under the mouse.
    await this.until(`the button ${title}`, async () => {
      await row.hover();
      return button.click({ timeout: 2000 }).then(
        () => true,
        () => false,
      );
    });
  }

  // Everything that any webview in the window says.
  async webviewText() {
    const texts = [];
    for (const frame of this.page.frames()) {
      if (frame === this.page.mainFrame()) continue;
      texts.push(await frame.evaluate(() => document.body?.innerText ?? '').catch(() => ''));
    }
    return plain(texts.join('\n'));
  }

  // The inner frame of a webview that has `selector`.
  async webview(selector) {
    return this.until(`a webview with ${selector}`, async () => {
      for (const frame of this.page.frames()) {
        if (frame === this.page.mainFrame()) continue;
        if ((await frame.locator(selector).count().catch(() => 0)) > 0) return frame;
      }
      return undefined;
    });
  }

  // ── Waiting and looking ────────────────────────────────────────────────────────────────────

  // Waits until `condition` is truthy, and returns that.
  async until(what, condition) {
    const end = Date.now() + limit;
    for (;;) {
      const value = await condition();
      if (value) return value;
      if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
      await this.page.waitForTimeout(50);
    }
  }

  // The same of a part of the window, for the walkthrough.
  async part(name, clip) {
    await this.page.waitForTimeout(500);
    await this.page.screenshot({ path: path.join(this.screenshots, `${name}.png`), clip });
  }

  // A picture for people; animations have come to their end in it.
  async shot(name) {
    await this.page.waitForTimeout(500);
    await this.page.screenshot({ path: path.join(this.screenshots, `${name}.png`) });
  }
}

// ── In the page ──────────────────────────────────────────────────────────────────────────────

function readLines() {
  const editor =
    document.querySelector('.editor-instance .monaco-editor.focused') ??
    document.querySelector('.editor-instance .monaco-editor');
  if (!editor) return [];
  const clean = (text) => text.replaceAll('\u00a0', ' ').replaceAll('\u200b', '');
  return [...editor.querySelectorAll('.view-lines > .view-line')]
    .map((line) => {
      const copy = line.cloneNode(true);
      for (const ghost of copy.querySelectorAll('[class*="ghost-text"]')) ghost.remove();
      return {
        top: Number.parseFloat(line.style.top),
        text: clean(copy.textContent),
        shown: clean(line.textContent),
      };
    })
    .sort((one, other) => one.top - other.top)
    .map(({ text, shown }) => ({ text, shown }));
}

function readGhost() {
  const editor = document.querySelector('.editor-instance .monaco-editor.focused');
  if (!editor) return '';
  const lines = [];
  for (const line of editor.querySelectorAll('.view-lines > .view-line, .suggest-preview-text .view-line')) {
    const inLine = line.closest('.suggest-preview-text') ? [line] : line.querySelectorAll('[class*="ghost-text"]');
    if (inLine.length > 0) lines.push([...inLine].map((piece) => piece.textContent).join(''));
  }
  return lines.join('\n').replaceAll('\u00a0', ' ');
}

function startWatching(number) {
  const sights = [];
  window.hearthWatch = { sights, on: true };
  const look = () => {
    if (!window.hearthWatch.on) return;
    const lines = [...document.querySelectorAll('.editor-instance .view-lines > .view-line')];
    const numbers = [...document.querySelectorAll('.editor-instance .margin .line-numbers')];
    const label = numbers.find((each) => each.textContent === String(number));
    const top = label?.closest('div[style*="top"]')?.style.top;
    const line = lines.find((each) => each.style.top === top);
    const text = line?.textContent.replaceAll('\u00a0', ' ').replaceAll('\u200b', '');
    if (text !== sights.at(-1)) sights.push(text);
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

function stopWatching() {
  window.hearthWatch.on = false;
  return window.hearthWatch.sights;
}

function startWatchingStatusBar() {
  window.hearthStatusBar = new Set();
  const bar = document.querySelector('.part.statusbar');
  const look = () => window.hearthStatusBar.add(bar.innerText.replaceAll('\u00a0', ' '));
  window.hearthStatusBarObserver?.disconnect();
  window.hearthStatusBarObserver = new MutationObserver(look);
  window.hearthStatusBarObserver.observe(bar, { subtree: true, childList: true, characterData: true });
}

function startWatchingStatus() {
  const now = () => performance.timeOrigin + performance.now();
  const entry = document.querySelector('.statusbar-item[id*="hearth"]');
  const read = () => entry.innerText.replaceAll('\u00a0', ' ').trim();
  window.hearthStatus = { texts: [], keyAt: 0 };
  window.hearthStatusObserver?.disconnect();
  window.hearthStatusObserver = new MutationObserver(() => {
    const text = read();
    if (text !== window.hearthStatus.texts.at(-1)?.text) window.hearthStatus.texts.push({ text, at: now() });
  });
  window.hearthStatusObserver.observe(entry, { subtree: true, childList: true, characterData: true });
  window.addEventListener('keydown', () => (window.hearthStatus.keyAt = now()), { capture: true });
}
