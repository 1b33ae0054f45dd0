// Step of the tour: a change that waited before the window was opened. Its answer proposes a new
// file, which the embedded checkpoint would not write: it is put into the daemon's record of jobs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import * as project from './project.mjs';
import { hearth, isReady, onDisk, step, tour, until } from './stage.mjs';

const newName = 'checks/average_checks.py';
const newText = 'from waiting import average\n\nassert average([1, 3]) == 2\n';
const documented = '    """The mean of the values."""\n';
const block = (name, search, replace) =>
  `${name}\n<<<<<<< SEARCH\n${search}=======\n${replace}>>>>>>> REPLACE\n\n`;
const head = 'def average(values):\n';
const answer = block('waiting.py', head, head + documented) + block(newName, '', newText);

// Asks for a change as an editor that leaves while it waits, and lets its answer be ours.
export async function leaveAChange() {
  const { env } = process;
  fs.writeFileSync(path.join(tour.folder, 'waiting.py'), project.average);
  const root = pathToFileURL(fs.realpathSync(tour.folder)).href;
  const uri = `${root}/waiting.py`;
  const server = spawn(env.HEARTH_UNDER_TEST, ['lsp'], { env: { ...env, HOME: tour.home }, stdio: ['pipe', 'pipe', 'inherit'] });
  const send = (message) => {
    const bytes = JSON.stringify({ jsonrpc: '2.0', ...message });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(bytes)}\r\n\r\n${bytes}`);
  };
  let received = Buffer.alloc(0);
  const waits = new Promise((resolve) => {
    server.stdout.on('data', (data) => {
      received = Buffer.concat([received, data]);
      for (;;) {
        const header = /^Content-Length: (\d+)[^]*?\r\n\r\n/.exec(received.toString('latin1'));
        const end = header ? header[0].length + Number(header[1]) : Infinity;
        if (received.length < end) return;
        const message = JSON.parse(received.subarray(header[0].length, end).toString());
        received = received.subarray(end);
        if (message.id !== undefined && message.method !== undefined) send({ id: message.id, result: null });
        if (message.method === 'hearth/jobState' && message.params.state === 'waiting') resolve(message.params.id);
      }
    });
  });
  const range = { start: { line: 0, character: 0 }, end: { line: 5, character: 0 } };
  send({
    id: 1,
    method: 'initialize',
    params: {
      processId: null,
      rootUri: null,
      workspaceFolders: [{ uri: root, name: 'project' }],
      capabilities: { workspace: { applyEdit: true, workspaceEdit: { documentChanges: true } } },
      initializationOptions: { hearth: { protocol: 3, features: ['jobs'] } },
    },
  });
  send({ method: 'initialized', params: {} });
  send({
    method: 'textDocument/didOpen',
    params: { textDocument: { uri, languageId: 'python', version: 1, text: project.average } },
  });
  send({
    id: 2,
    method: 'workspace/executeCommand',
    params: { command: 'hearth.server.document', arguments: [{ uri, range, review: true }] },
  });
  const job = await waits;
  send({ id: 3, method: 'shutdown' });
  send({ method: 'exit' });
  await new Promise((resolve) => server.on('exit', resolve));
  hearth('stop');
  const [file] = fs.globSync(path.join(env.XDG_STATE_HOME, 'hearth', '**', 'jobs*'));
  const jobs = new DatabaseSync(file);
  const { request } = jobs.prepare('SELECT request FROM job WHERE id = ?').get(job);
  const changed = { ...JSON.parse(request), form: 'hunks', newFilesIn: root };
  jobs.prepare('UPDATE job SET request = ?, text = ? WHERE id = ?').run(JSON.stringify(changed), answer, job);
  jobs.prepare('DELETE FROM piece WHERE job = ?').run(job);
  jobs.close();
}

export const waitingStep = 'a new file that a change proposes is shown beside nothing, and made with the rest';
step(waitingStep, async (window) => {
  await until('hearth is ready', () => isReady());
  assert.equal(await window.status(), 'hearth: 1 change waits');
  await window.command('hearth: Show Menu');
  await window.pick('Review the change');
  await until('both files are shown', async () => {
    const shown = await window.page.locator('.multiDiffEntry').allInnerTexts();
    return [newName.split('/')[1], 'waiting.py'].every((name) => shown.some((text) => text.includes(name)));
  });
  await window.shot('new-file');
  assert.ok(!fs.existsSync(path.join(tour.folder, newName)), 'it was made unseen');
  await window.command('hearth: Apply This Change');
  await until('nothing waits', async () => (await window.status()) === 'hearth');
  await window.openFile('waiting.py');
  assert.equal(await window.text(), project.average.replace(head, head + documented));
  await window.shot('new-file-made');
  await window.command('File: Save All Files');
  await until('the new file is there', () => fs.existsSync(path.join(tour.folder, newName)) && onDisk(newName) === newText);
  await window.closeEditors();
});
