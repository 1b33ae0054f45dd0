// What the steps of the tour share: the window, where things are, what hearth says and shows. Each file
// of steps adds its own, in the order in which tour.mjs imports them.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as project from './project.mjs';

const { env } = process;
export const steps = [];
export const step = (name, take) => steps.push({ name, take });

// The state of the tour: the window that the steps share, and where things are.
export const tour = {
  folder: path.join(env.HEARTH_SCRATCH, 'project'),
  settings: { 'files.readonlyInclude': { '**/frozen.py': true } },
};

export function hearth(...words) {
  return spawnSync(env.HEARTH_UNDER_TEST, words, { encoding: 'utf8' }).stdout;
}

// Where its own installation puts it: the PATH is a login shell's, which VS Code asks for.
export const installed = () => path.join(tour.home, '.local', 'bin', 'hearth');
export function installHearth() {
  fs.mkdirSync(path.dirname(installed()), { recursive: true });
  fs.symlinkSync(env.HEARTH_UNDER_TEST, installed());
}

export const daemon = () => JSON.parse(hearth('status', '--json'));
export const onDisk = (name) => fs.readFileSync(path.join(tour.folder, name), 'utf8');

export async function until(what, condition) {
  return tour.window.until(what, condition);
}

// The text of the last answer in the view, and its state.
export async function lastAnswer() {
  const page = await tour.window.webview('#turns');
  return page.evaluate(() => {
    const last = document.querySelector('#turns article:last-of-type');
    return {
      count: document.querySelectorAll('#turns article').length,
      question: last?.querySelector('h2')?.textContent ?? '',
      job: last?.dataset.job ?? '',
      state: last?.dataset.state ?? '',
      text: last?.querySelector('.answer')?.innerText.trim() ?? '',
      message: last?.querySelector('.message')?.textContent ?? '',
    };
  });
}

export async function waitForAnswer(text, count = 1) {
  await until(`the answer ${text}`, async () => {
    const last = await lastAnswer();
    return last.count >= count && last.state === 'done' && last.text.includes(text);
  });
}

export async function openHole(window) {
  await window.openFile('settings.py');
  await window.goTo(project.holeAfter.line, project.holeAfter.column);
  await window.press('Enter');
}

export const isReady = async (window = tour.window) => /^hearth(: \d+ changes? waits?)?$/.test(await window.status());
