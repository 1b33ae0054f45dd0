// Names of documents: what a prompt may call one, and which must never be shown to a model.
#pragma once

#include <string>
#include <string_view>

namespace hearth::lsp {

// The path below `root` (a workspace folder's URI) where the document lies there, else the file's
// own name: the folders above may say who the user is.
std::string display_path(std::string_view uri, std::string_view root);

// Whether a document's name says that it holds credentials. Only names are judged, without regard
// to case:
//   .env and .env.* (but not .env.example, .sample, .template), *.env
//   private keys and key stores: *.pem *.key *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk *.gpg,
//   and id_rsa, id_dsa, id_ecdsa, id_ed25519
//   files that tools keep passwords in: .netrc _netrc .pgpass .npmrc .pypirc .htpasswd
//   .git-credentials, *.tfvars, *.tfstate
//   credentials, secret and secrets, alone or as a file of data (credentials.json)
//   everything in .ssh, .gnupg and .aws folders
bool is_secret(std::string_view uri);

}  // namespace hearth::lsp
