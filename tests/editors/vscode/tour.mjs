// hearth in the workbench of VS Code, from the keys to the screen and the disk: what a person meets
// in the first hour. Keeps a picture of each sight.
// Environment: HEARTH_UNDER_TEST the program, HEARTH_VSIX the extension, HEARTH_WORKBENCH the folder
// of node_modules, HEARTH_BROWSER a Chromium, HEARTH_SCREENSHOTS a folder, HEARTH_SCRATCH one that
// is removed afterwards; HEARTH_CASES an expression: only the steps whose name has it; HEARTH_LIMIT
// the seconds after which a wait has failed.
import fs from 'node:fs';
import path from 'node:path';
import { installHearth, tour, steps } from './stage.mjs';
import { Server, startBrowser, Workbench } from './workbench.mjs';
import * as project from './project.mjs';
// In the order of the tour.
import { leaveAChange, waitingStep } from './waiting.mjs';
import './writing.mjs';
import './answers.mjs';
import './changes.mjs';
import './windows.mjs';

const { env } = process;
const isChosen = (name) => new RegExp(env.HEARTH_CASES ?? '').test(name);

async function shotsOf(browser, name) {
  const pages = browser.contexts().flatMap((context) => context.pages());
  for (const [index, page] of pages.entries()) {
    await page.screenshot({ path: path.join(env.HEARTH_SCREENSHOTS, `${name}-${index + 1}.png`) });
  }
}

async function main() {
  fs.mkdirSync(env.HEARTH_SCREENSHOTS, { recursive: true });
  project.makeProject(tour.folder);
  tour.home = path.join(env.HEARTH_SCRATCH, 'home');
  installHearth();
  if (isChosen(waitingStep)) await leaveAChange();
  const begin = Date.now();
  const server = await Server.start({
    modules: env.HEARTH_WORKBENCH,
    scratch: env.HEARTH_SCRATCH,
    // No catalogue of extensions is asked for.
    environment: { ...env, HOME: tour.home, EXTENSIONS_GALLERY: '{}' },
    vsix: env.HEARTH_VSIX,
  });
  let browser;
  let failures = 0;
  try {
    server.set(tour.settings);
    server.addSnippet('python', { pair: { prefix: 'pair', body: 'pair(${1:first}, ${2:second})$0' } });
    browser = await startBrowser(env.HEARTH_BROWSER);
    tour.server = server;
    tour.open = () => Workbench.open(browser, server, tour.folder, env.HEARTH_SCREENSHOTS);
    tour.window = await tour.open();
    console.log(`the window is there after ${((Date.now() - begin) / 1000).toFixed(0)} s`);
    for (const { name, take } of steps) {
      if (!isChosen(name)) continue;
      const start = Date.now();
      try {
        await take(tour.window);
        console.log(`ok      ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
      } catch (error) {
        failures += 1;
        console.log(`FAILED  ${name}\n  ${error.stack.replaceAll('\n', '\n  ')}`);
        await shotsOf(browser, `failed-${failures}`).catch(() => {});
        await tour.window.page.keyboard.press('Escape').catch(() => {});
        await tour.window.closeEditors().catch(() => {});
      }
    }
  } finally {
    await browser?.close();
    await server.stop();
  }
  process.exit(failures === 0 ? 0 : 1);
}
await main();
