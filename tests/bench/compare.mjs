// Alternates `hearth bench` with llama.cpp's `llama-bench`, so that both see the same machine, and
// prints medians over the rounds beside each other. Knows the two programs' JSON and nothing else.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';

const usage = `Usage: tests/bench/compare --model DIR [--hearth build/hearth] [--llama LLAMA-BENCH --gguf FILE]
                          [--rounds 3] [--tokens 40] [--threads N] [--experts-memory SIZE]
Without --llama and --gguf only hearth is measured.
`;
const prompts = [512, 2048];
const depths = [0, 4096];

function fail(message, code = 1) {
  process.stderr.write(`compare: ${message}\n`);
  process.exit(code);
}

function readOptions(words) {
  const options = { hearth: 'build/hearth', rounds: '3', tokens: '40' };
  const known = ['hearth', 'model', 'llama', 'gguf', 'rounds', 'tokens', 'threads', 'experts-memory'];
  for (let i = 0; i < words.length; i += 2) {
    const name = words[i].replace(/^--/, '');
    if (words[i] === '--help') {
      process.stdout.write(usage);
      process.exit(0);
    }
    if (!words[i].startsWith('--') || !known.includes(name)) fail(`unknown option ${words[i]}\n${usage}`, 2);
    if (words[i + 1] === undefined) fail(`--${name} needs a value`, 2);
    options[name] = words[i + 1];
  }
  for (const name of ['rounds', 'tokens', 'threads']) {
    const value = options[name];
    if (value !== undefined && !/^[1-9][0-9]*$/.test(value)) {
      fail(`--${name} ${value}: a whole number above 0 is expected`, 2);
    }
  }
  if (!options.model) fail(`--model DIR is missing\n${usage}`, 2);
  if ((options.llama === undefined) !== (options.gguf === undefined)) {
    fail('--llama and --gguf go together', 2);
  }
  for (const name of ['hearth', 'model', 'llama', 'gguf']) {
    if (options[name] !== undefined && !existsSync(options[name])) {
      fail(`--${name}: there is no ${options[name]}`);
    }
  }
  return options;
}

// A program's standard output as JSON; what it says on standard error is shown as it comes.
function runJson(program, words) {
  let text;
  try {
    text = execFileSync(program, words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 1 << 28,
    });
  } catch (error) {
    fail(`${program} ${words.join(' ')}: ${error.status === undefined || error.status === null ? error.message : `exit code ${error.status}`}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    fail(`${program} ${words.join(' ')} printed no JSON, but: ${text.slice(0, 200).trim()}`);
  }
}

const prefillName = (tokens) => `prefill ${tokens}`;
const decodeName = (depth) => `decode at ${depth}`;

// Each yields pairs of a row's name and tokens a second.
function hearthSpeeds(options, about) {
  const words = ['bench', options.model, '--json', '--prompts', prompts.join(','),
    '--depths', depths.join(','), '--tokens', options.tokens];
  if (options.threads) words.push('--threads', options.threads);
  if (options['experts-memory']) words.push('--experts-memory', options['experts-memory']);
  const result = runJson(options.hearth, words);
  about.hearth = `hearth ${result.hearth}: ${result.model}, ${result.engine}, `
    + `room for ${result.expertSlots} of ${result.experts} experts`;
  about.machine = `${result.processor}, memory ${(result.memoryBandwidth / 1e9).toFixed(1)} GB/s, `
    + `disk ${(result.diskBandwidth / 1e9).toFixed(2)} GB/s`;
  return result.runs
    .filter((run) => run.state === 'warm')
    .map((run) => [run.what === 'prefill' ? prefillName(run.tokens) : decodeName(run.depth),
      run.tokensPerSecond]);
}

function llamaSpeeds(options, about) {
  const common = ['-m', options.gguf, '-r', '1', '-o', 'json'];
  if (options.threads) common.push('-t', options.threads);
  const results = [
    ...runJson(options.llama, [...common, '-p', prompts.join(','), '-n', '0']),
    ...runJson(options.llama, [...common, '-p', '0', '-n', options.tokens, '-d', depths.join(',')]),
  ];
  const speeds = [];
  for (const result of results) {
    for (const field of ['n_prompt', 'n_gen', 'avg_ts']) {
      if (typeof result[field] !== 'number') fail(`${options.llama}: its JSON has no number ${field}`);
    }
    about.llama = `llama.cpp ${result.build_commit}: ${options.gguf}, ${result.model_type ?? ''}, `
      + `${result.backends ?? ''} ${result.n_threads ?? ''} threads`;
    const name = result.n_gen > 0 ? decodeName(result.n_depth ?? 0) : prefillName(result.n_prompt);
    for (const speed of result.samples_ts ?? [result.avg_ts]) speeds.push([name, speed]);
  }
  return speeds;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function add(samples, speeds) {
  for (const [name, speed] of speeds) samples.set(name, [...(samples.get(name) ?? []), speed]);
}

const options = readOptions(process.argv.slice(2));
const about = {};
const hearth = new Map();
const llama = new Map();
for (let round = 0; round < Number(options.rounds); ++round) {
  process.stderr.write(`round ${round + 1} of ${options.rounds}\n`);
  add(hearth, hearthSpeeds(options, about));
  if (options.llama) add(llama, llamaSpeeds(options, about));
}

const shown = (samples) => (samples ? median(samples).toFixed(2) : '-');
const row = (...cells) => cells.map((cell, i) => (i === 0 ? cell.padEnd(16) : cell.padStart(10))).join(' ').trimEnd();
console.log(about.machine ?? cpus()[0].model);
console.log(about.hearth);
if (about.llama) console.log(about.llama);
console.log(`tokens a second, medians of ${options.rounds} alternating rounds, caches warm\n`);
console.log(row('', 'hearth', ...(options.llama ? ['llama.cpp', 'ratio'] : [])));
for (const name of [...prompts.map(prefillName), ...depths.map(decodeName)]) {
  const [ours, theirs] = [hearth.get(name), llama.get(name)];
  const cells = [shown(ours)];
  if (options.llama) cells.push(shown(theirs), ours && theirs ? (median(ours) / median(theirs)).toFixed(2) : '-');
  console.log(row(name, ...cells));
}
