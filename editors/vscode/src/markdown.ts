// From a model's Markdown to HTML that is safe in a webview, and the code blocks in it. What the
// model writes is never trusted: no HTML of its own, no images, links of the web only. Imports
// nothing of VS Code.
import MarkdownIt from 'markdown-it';

export interface CodeBlock {
  language: string; // as the fence says: "python"; may be empty
  text: string; // with a line end at its end
}

interface Token {
  type: string;
  content: string;
  info: string;
}

const markdown = new MarkdownIt('default', { html: false, linkify: false, typographer: false });
// An image would be a request to wherever the model says.
markdown.disable('image');
const usualLinks = markdown.validateLink.bind(markdown);
markdown.validateLink = (url: string) => usualLinks(url) && /^https?:\/\//i.test(url);

const escaped = (text: string): string => markdown.utils.escapeHtml(text);

// The first word of a fence's info, as far as it can be the name of a language.
const languageOf = (info: string): string => /^[\w+#.-]*/.exec(info.trim())?.[0] ?? '';

function isBlock(token: Token): boolean {
  return token.type === 'fence' || token.type === 'code_block';
}

function diffLines(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const kind = line.startsWith('@@')
        ? 'place'
        : /^(\+\+\+|---) /.test(line)
          ? 'file'
          : line.startsWith('+')
            ? 'added'
            : line.startsWith('-')
              ? 'removed'
              : '';
      return kind === '' ? escaped(line) : `<span class="${kind}">${escaped(line)}</span>`;
    })
    .join('\n');
}

function button(what: string, title: string, label: string, block: number): string {
  return `<button type="button" data-do="${what}" data-block="${block}" title="${title}">${label}</button>`;
}

// `block` counts the blocks of one answer from 0, as codeBlocks() has them.
function renderBlock(token: Token, block: number): string {
  const language = token.type === 'fence' ? languageOf(token.info) : '';
  const name = language === '' ? 'code' : language;
  const isDiff = language === 'diff';
  const body = isDiff ? diffLines(token.content) : escaped(token.content);
  const buttons = [button('copy', 'Copy this code to the clipboard', 'Copy', block)];
  if (!isDiff) {
    buttons.push(button('insert', 'Insert this code at the cursor', 'Insert', block));
    buttons.push(button('apply', 'Preview this code in place of the one in question', 'Apply', block));
  }
  return (
    `<div class="code" role="group" aria-label="${escaped(name)}">` +
    `<div class="bar"><span class="language">${escaped(name)}</span>${buttons.join('')}</div>` +
    `<pre tabindex="0"><code class="${isDiff ? 'diff' : ''}">${body}</code></pre></div>\n`
  );
}

const rules = markdown.renderer.rules;
const blockRule = (tokens: Token[], index: number, _options: unknown, env: { block: number }) =>
  renderBlock(tokens[index] as Token, env.block++);
rules['fence'] = blockRule as never;
rules['code_block'] = blockRule as never;

export function render(text: string): string {
  return markdown.render(text, { block: 0 });
}

// In the order in which render() numbers them.
export function codeBlocks(text: string): CodeBlock[] {
  return (markdown.parse(text, {}) as Token[]).filter(isBlock).map((token) => ({
    language: token.type === 'fence' ? languageOf(token.info) : '',
    text: token.content,
  }));
}

// The unified diff that a waiting job's text has; undefined: it has none.
export function diffIn(text: string): string | undefined {
  return codeBlocks(text).find(({ language }) => language === 'diff')?.text;
}

// Without the fence that models put around a commit message, and without blank ends.
export function plainMessage(text: string): string {
  const trimmed = text.trim();
  const fence = /^(`{3,})[^\n]*\n([\s\S]*?)\n?\1$/.exec(trimmed);
  return (fence?.[2] ?? trimmed).trim();
}
