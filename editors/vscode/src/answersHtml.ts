// The page that answers are shown in, as HTML around its script. Nothing but that script and that
// style sheet may be loaded. Imports nothing of VS Code.
export interface PageParts {
  nonce: string;
  script: string; // URIs that the webview can load
  style: string;
  source: string; // webview.cspSource
}

export function answersHtml({ nonce, script, style, source }: PageParts): string {
  const policy = `default-src 'none'; style-src ${source}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>hearth</title>
</head>
<body>
<header>
<select id="earlier" aria-label="Conversations"></select>
<button type="button" id="new" title="Begin a new conversation">New</button>
</header>
<main id="turns" aria-label="Answers" tabindex="-1"></main>
<p id="state" role="status" aria-live="polite"></p>
<form id="form">
<ul id="attached" aria-label="Attached"></ul>
<textarea id="question" rows="2" aria-label="Ask hearth" placeholder="Ask hearth…"></textarea>
<div class="buttons">
<button type="button" id="attach" title="Attach a file or the selection">Attach…</button>
<button type="button" id="stop" title="Stop (Escape)" hidden>Stop</button>
<button type="submit" id="ask" title="Ask (Enter)">Ask</button>
</div>
</form>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
