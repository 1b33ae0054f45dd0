// The script of the page of answers: shows what the extension sends, and says what a person does.
// The HTML of answers was made safe by the extension (markdown.ts); all else is set as text.
import type { FromPage, JobVerb, ShownConversation, ShownTurn, ToPage } from '../pageMessages.ts';

interface Host {
  postMessage(message: FromPage): void;
}
declare function acquireVsCodeApi(): Host;

const host = acquireVsCodeApi();
const say = (message: FromPage): void => host.postMessage(message);

function byId<Kind extends HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`there is no #${id}`);
  return found as Kind;
}

const turns = byId<HTMLElement>('turns');
const earlier = byId<HTMLSelectElement>('earlier');
const attachedList = byId<HTMLUListElement>('attached');
const question = byId<HTMLTextAreaElement>('question');
const stopButton = byId<HTMLButtonElement>('stop');
const stateLine = byId<HTMLElement>('state');
let shown: ShownConversation = { id: 0, title: '', turns: [] };

function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = '',
  text = '',
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  if (text !== '') made.textContent = text;
  return made;
}

// Only what differs is replaced, so that a selection or the focus in earlier parts stays.
function setHtml(target: HTMLElement, html: string): void {
  const wanted = element('template');
  wanted.innerHTML = html;
  const children = [...wanted.content.childNodes];
  let at = 0;
  for (const child of children) {
    const present = target.childNodes[at];
    if (!present) target.append(child);
    else if (!present.isEqualNode(child)) target.replaceChild(child, present);
    at += 1;
  }
  while (target.childNodes.length > at) target.lastChild?.remove();
}

const verbs: [JobVerb, string, string, (turn: ShownTurn) => boolean][] = [
  ['preview', 'Preview', 'Show the change beside the file', (turn) => turn.waits],
  ['apply', 'Apply', 'Make the change', (turn) => turn.waits],
  ['dismiss', 'Discard', 'Drop the change', (turn) => turn.waits],
  ['pause', 'Pause', 'Stop where it is; what is written is kept', (turn) => turn.runs],
  ['resume', 'Resume', 'Go on', (turn) => turn.paused],
  ['cancel', 'Stop', 'Stop it; what is written is kept', (turn) => turn.runs || turn.paused],
  ['retry', 'Try Again', 'Ask it again from the beginning', (turn) => turn.failed],
  ['copy', 'Copy', 'Copy the whole answer', (turn) => !turn.runs && turn.html !== ''],
  ['prompt', 'Prompt', 'Show what the model was shown', (turn) => turn.job > 0],
];

// Closed until a person opens it, and as they left it while it grows.
function thoughtFold(): HTMLDetailsElement {
  const fold = element('details', 'thought');
  fold.append(element('summary'), element('div'));
  return fold;
}

function showThought(fold: HTMLElement, turn: ShownTurn): void {
  const [title, text] = [...fold.children] as [HTMLElement, HTMLElement];
  fold.hidden = turn.thought === '';
  title.textContent = turn.thoughtTitle;
  if (text.textContent !== turn.thought) text.textContent = turn.thought;
}

function showTurn(turn: ShownTurn): void {
  const id = `turn-${turn.key}`;
  let article = document.getElementById(id);
  if (!article) {
    article = element('article');
    article.id = id;
    article.append(
      element('h2'),
      element('ul', 'chips'),
      thoughtFold(),
      element('div', 'answer'),
      element('progress'),
      element('p', 'message'),
      element('div', 'verbs'),
    );
    turns.append(article);
  }
  const [heading, chips, thought, answer, progress, message, buttons] = [...article.children] as [
    HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLProgressElement, HTMLElement, HTMLElement,
  ];
  article.dataset['job'] = String(turn.job);
  article.dataset['state'] = turn.state;
  heading.textContent = turn.question;
  if (chips.childElementCount !== turn.attached.length) {
    chips.replaceChildren(...turn.attached.map((name) => element('li', '', name)));
  }
  showThought(thought, turn);
  setHtml(answer, turn.html);
  progress.hidden = !turn.runs;
  progress.max = 100;
  progress.value = turn.percentage;
  progress.ariaLabel = 'Progress';
  message.textContent = turn.message;
  const wanted = verbs.filter(([, , , fits]) => fits(turn));
  const key = wanted.map(([verb]) => verb).join(' ');
  if (buttons.dataset['key'] !== key) {
    buttons.dataset['key'] = key;
    buttons.replaceChildren(
      ...wanted.map(([verb, label, title]) => {
        const made = element('button', '', label);
        made.type = 'button';
        made.title = title;
        made.dataset['verb'] = verb;
        return made;
      }),
    );
  }
}

const atEnd = (): boolean => turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40;

function showState(): void {
  const running = shown.turns.find((turn) => turn.runs);
  stopButton.hidden = running === undefined;
  const last = shown.turns.at(-1);
  // Not with every token: screen readers would never come to an end.
  const line = running ? running.state : (last?.message ?? '');
  if (stateLine.textContent !== line) stateLine.textContent = line;
}

function receive(message: ToPage): void {
  switch (message.type) {
    case 'conversation':
      shown = message.conversation;
      turns.replaceChildren();
      shown.turns.forEach(showTurn);
      earlier.value = String(shown.id);
      turns.scrollTop = turns.scrollHeight;
      break;
    case 'turn': {
      if (message.conversation !== shown.id) return;
      const follows = atEnd();
      shown.turns[message.turn.key] = message.turn;
      showTurn(message.turn);
      if (follows) turns.scrollTop = turns.scrollHeight;
      break;
    }
    case 'list':
      earlier.replaceChildren(
        new Option('New conversation', '0'),
        ...message.conversations.map(({ id, title }) => new Option(title, String(id))),
      );
      earlier.value = String(shown.id);
      break;
    case 'attached':
      attachedList.replaceChildren(
        ...message.names.map((name, index) => {
          const item = element('li', '', name);
          const remove = element('button', '', '×');
          remove.type = 'button';
          remove.ariaLabel = `Remove ${name}`;
          remove.addEventListener('click', () => say({ type: 'detach', index }));
          item.append(remove);
          return item;
        }),
      );
      break;
    case 'focus':
      question.focus();
      break;
  }
  showState();
}

window.addEventListener('message', (event: MessageEvent<ToPage>) => receive(event.data));

turns.addEventListener('click', (event) => {
  const target = event.target instanceof Element ? event.target.closest('button') : null;
  const job = Number(target?.closest('article')?.dataset['job'] ?? 0);
  if (!target || job === 0) return;
  const { verb, do: what, block } = target.dataset;
  if (verb) say({ type: 'job', verb: verb as JobVerb, job });
  else if (what === 'copy' || what === 'insert' || what === 'apply') {
    say({ type: 'block', what, job, block: Number(block) });
  }
});

function ask(): void {
  const text = question.value.trim();
  if (text === '') return;
  question.value = '';
  say({ type: 'ask', text });
}

byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  ask();
});
question.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !stopButton.hidden) say({ type: 'stop' });
});
stopButton.addEventListener('click', () => say({ type: 'stop' }));
byId('new').addEventListener('click', () => say({ type: 'new' }));
byId('attach').addEventListener('click', () => say({ type: 'attach' }));
earlier.addEventListener('change', () => {
  const conversation = Number(earlier.value);
  say(conversation === 0 ? { type: 'new' } : { type: 'open', conversation });
});
say({ type: 'ready' });
