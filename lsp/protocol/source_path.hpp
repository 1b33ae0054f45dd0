// Names of documents: what a prompt may call one, and which must never be shown to a model.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace hearth::lsp {

// The path of a URI without query and fragment, its %XX undone. Text that is no URI is a path.
std::string path_of(std::string_view uri);

// The path below the innermost of `folders` (the workspace's, as URIs) that contains the document,
// else the file's own name: the folders above may say who the user is.
std::string display_path(std::string_view uri, std::span<const std::string> folders);

// The innermost of `folders` (URIs) that a document is below; empty: none.
std::string folder_of(std::string_view uri, std::span<const std::string> folders);

// What hearth neither changes nor makes: files of the repository itself, an editor's configuration,
// and what is run or obeyed unasked. Names below the innermost of `folders` (the workspace's, as
// URIs) count, as a person may have opened their editor's configuration to work on it; the
// repository's own count wherever they are. Without regard to case, and to what some disks leave
// out of a name (".git.", "git~1"). Takes a URI or a path.
bool is_off_limits(std::string_view uri, std::span<const std::string> folders);

// Whether a document's name says that it holds credentials. Only names are judged, without regard
// to case, whatever the scheme; a copy or backup (.env~, .env.bak, #.env#, .id_rsa.swp, "id_rsa
// (1)") is what its original is:
//   .env and .env.* (but not .env.example, .sample, .template), .env-*, .env_*, *.env, .envrc
//   private keys and key stores: *.pem *.key *.p8 *.p12 *.pfx *.jks *.keystore *.keytab *.kdb
//   *.kdbx *.ppk *.gpg *.ovpn, and id_rsa, id_dsa, id_ecdsa, id_ed25519 and their like
//   files that tools keep passwords in: .netrc .pgpass .npmrc .pypirc .git-credentials kubeconfig
//   .docker/config.json and others, in the table of source_path.cpp; *.tfvars, *.tfstate
//   credentials, secret, secrets and passwords, alone or as a file of data (credentials.json), and
//   JSON with one of the first three as a word of its name (client_secret_7.json)
//   everything in .ssh, .gnupg, .aws, .azure, .password-store and .config/gcloud folders
bool is_secret(std::string_view uri);

}  // namespace hearth::lsp
