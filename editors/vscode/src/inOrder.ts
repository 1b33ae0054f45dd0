// The client's middleware that keeps the order of what is said about documents.
import type * as vscode from 'vscode';
import type { Middleware } from 'vscode-languageclient/node';
import { DocumentOrder } from './documentOrder.ts';

// All that the client reads of a document that it opens.
function kept(document: vscode.TextDocument): vscode.TextDocument {
  const { uri, languageId, version } = document;
  const text = document.getText();
  return { uri, languageId, version, getText: () => text } as vscode.TextDocument;
}

export function inOrder(): Pick<Middleware, 'didOpen' | 'didChange' | 'didClose'> {
  const order = new DocumentOrder();
  return {
    didOpen: (document, next) => {
      const uri = document.uri.toString();
      const opened = order.holds(uri) ? kept(document) : document;
      return order.open(uri, () => next(opened));
    },
    didChange: (event, next) => order.change(event.document.uri.toString(), () => next(event)),
    didClose: (document, next) => order.close(document.uri.toString(), () => next(document)),
  };
}
