// What documents are called, and whose names say that they hold secrets.
#include "lsp/protocol/source_path.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace hearth::lsp::test {

TEST_CASE("the path of a URI has no query and no fragment") {
  CHECK(path_of("file:///home/ada/my%20project/a.py") == "/home/ada/my project/a.py");
  CHECK(path_of("git:/p/.env?{\"path\":\"/p/.env\",\"ref\":\"~\"}") == "/p/.env");
  CHECK(path_of("vscode-notebook-cell:/p/a.ipynb#W0sZmlsZQ%3D%3D") == "/p/a.ipynb");
  CHECK(path_of("file:///p/a%23b%3Fc.py") == "/p/a#b?c.py");
  CHECK(path_of("vscode-remote://ssh-remote+host/p/a.py") == "/p/a.py");
  CHECK(path_of("untitled:Untitled-1") == "Untitled-1");
  CHECK(path_of("untitled://a.py") == "a.py");
  CHECK(path_of("/p/a?b#c.py") == "/p/a?b#c.py");
  CHECK(path_of("c:\\p\\a.py") == "c:\\p\\a.py");
  CHECK(path_of("") == "");
  CHECK(path_of(":") == ":");
  CHECK(path_of("x:") == "x:");
  CHECK(path_of("file://") == "");
}

TEST_CASE("a document is called by its path below its workspace folder") {
  const std::vector<std::string> none;
  const std::vector<std::string> folders{"file:///home/ada/shop", "file:///home/ada/my%20tools/",
                                         "file:///home/ada/shop/web"};
  CHECK(display_path("file:///home/ada/shop/a/b.py", folders) == "a/b.py");
  CHECK(display_path("file:///home/ada/my%20tools/b.py", folders) == "b.py");
  CHECK(display_path("file:///home/ada/my%20tools/x/b.py", folders) == "x/b.py");
  CHECK(display_path("git:/home/ada/my%20tools/x/b.py?{}", folders) == "x/b.py");
  CHECK(display_path("file:///home/ada/shop/web/c.ts", folders) == "c.ts");  // the innermost
  CHECK(display_path("file:///home/ada/shopping/d.py", folders) == "d.py");
  CHECK(display_path("file:///home/ada/e/f.py", folders) == "f.py");
  CHECK(display_path("file:///home/ada/e/f.py", none) == "f.py");
  CHECK(display_path("file:///a%0Ab%2", none) == "a?b%2");
  CHECK(display_path("untitled:Untitled-1", none) == "Untitled-1");
}

TEST_CASE("files of secrets are told by their names") {
  for (const std::string name : {".env",
                                 ".env.local",
                                 ".env-prod",
                                 ".env_old",
                                 "prod.env",
                                 ".envrc",
                                 "server.pem",
                                 "id_rsa",
                                 "id_ed25519",
                                 "id_ed25519_sk",
                                 "tls.key",
                                 "AuthKey.p8",
                                 "cert.p12",
                                 "me.ovpn",
                                 "svc.keytab",
                                 "credentials",
                                 "Credentials.json",
                                 ".credentials.json",
                                 "secrets.yaml",
                                 "secrets.toml",
                                 "passwords.txt",
                                 "client_secret_7-x.apps.json",
                                 "gcp-credentials.json",
                                 ".netrc",
                                 "_netrc",
                                 ".npmrc",
                                 ".yarnrc.yml",
                                 ".pypirc",
                                 ".pgpass",
                                 ".my.cnf",
                                 ".authinfo",
                                 ".git-credentials",
                                 ".htpasswd",
                                 ".s3cfg",
                                 ".vault-token",
                                 ".dockercfg",
                                 "kubeconfig",
                                 "prod.kubeconfig",
                                 "store.kdbx",
                                 "main.tfvars",
                                 "prod.auto.tfvars.json",
                                 "terraform.tfstate",
                                 ".ssh/config",
                                 ".aws/config",
                                 ".azure/accessTokens.json",
                                 ".docker/config.json",
                                 ".kube/config",
                                 ".config/gh/hosts.yml",
                                 ".config/gcloud/application_default_credentials.json",
                                 ".m2/settings.xml",
                                 ".cargo/credentials.toml"}) {
    CAPTURE(name);
    CHECK(is_secret("file:///home/ada/" + name));
    CHECK(is_secret("git:/home/ada/" + name + "?{\"ref\":\"~\"}"));
    CHECK(is_secret("git:/home/ada/" + name + ".git?{}"));
    CHECK(is_secret("vscode-remote://wsl+x/home/ada/" + name + "#L3"));
    CHECK(is_secret("untitled:" + name));
    CHECK(is_secret("untitled://" + name));
    CHECK(is_secret("/home/ada/" + name));
    CHECK(is_secret(name));
    // Backups and copies.
    for (const std::string ending :
         {"~", ".bak", ".BAK", ".old", ".orig", ".swp", ".save", ".~2~", ".1", " copy", " (copy)",
          ".20241231", ".bak~", "%20%281%29"}) {
      CAPTURE(ending);
      CHECK(is_secret("file:///home/ada/" + name + ending));
    }
  }
  for (const std::string name : {"%2Eenv",
                                 ".%65nv",
                                 "%252Eenv",
                                 ".ENV",
                                 ".Env.Local",
                                 "ID_RSA",
                                 "%23.env%23",
                                 "#.env#",
                                 ".%23.env",
                                 "..env.swp",
                                 ".id_rsa.swp",
                                 "Copy%20of%20.env",
                                 "id_rsa%20(1)",
                                 "credentials%20(1).json",
                                 ".env%20",
                                 ".env.",
                                 ".env%00",
                                 ".env/",
                                 "x.zip::.env",
                                 ".env::$DATA",
                                 "a%5C.env",
                                 "!home!ada!.env~",
                                 "%25home%25ada%25.env",
                                 ".env?x=y#z",
                                 "SERVER.PEM"}) {
    CAPTURE(name);
    CHECK(is_secret("file:///home/ada/" + name));
  }
  CHECK(is_secret("C:\\Users\\ada\\.ssh\\config"));
  CHECK(is_secret("git:/p/.env?{}"));
}

TEST_CASE("other files are no secrets") {
  for (const std::string name : {"stats.py",
                                 ".env.example",
                                 ".env.example~",
                                 ".env.sample.bak",
                                 "environment.py",
                                 "keys.py",
                                 "credentials.py",
                                 "secrets.go",
                                 "secret_santa.py",
                                 "monkey.c",
                                 "id_rsa.cpp",
                                 "id_rsa.pub",
                                 "auth.json",
                                 "tokens.json",
                                 "settings.xml",
                                 "config",
                                 "config.json",
                                 "hosts.yml",
                                 "a.old",
                                 "keyboard.md",
                                 "README.md~",
                                 "password_reset.ts",
                                 "v1.2.3",
                                 "%",
                                 "%%",
                                 "#",
                                 "~",
                                 ".",
                                 "..",
                                 "(1)",
                                 "1",
                                 "-",
                                 "?",
                                 "",
                                 ":",
                                 "a:b"}) {
    CAPTURE(name);
    CHECK_FALSE(is_secret("file:///home/ada/" + name));
    CHECK_FALSE(is_secret("git:/home/ada/" + name + "?{\"ref\":\"~\"}"));
    CHECK_FALSE(is_secret(name));
  }
}

TEST_CASE("the repository itself, editors' configuration and what is run unasked are off limits") {
  const std::vector<std::string> none;
  for (const char* path : {"/p/.git/config", "/p/.GIT", "p/.git./hooks/x", "/p/git~1/config",
                           "file:///p/.vscode/tasks.json", "file:///c%3A/p/.VSCode/tasks.json",
                           "c:\\p\\.idea\\x.xml", "/p/.editorconfig", "/p/.nvim.lua",
                           "/p/a.code-workspace", ".bashrc", "lib/.envrc", ".gitmodules"}) {
    CAPTURE(path);
    CHECK(is_off_limits(path, none));
  }
  for (const char* path : {"/p/a.py", "/p/.gitignore", "/p/.github/labels.yml", "/p/git/config",
                           "/p/vscode/tasks.json", "untitled:Untitled-1", ""}) {
    CAPTURE(path);
    CHECK_FALSE(is_off_limits(path, none));
  }
  // Who opened such a folder means what is in it; the repository's own folder is none to work in.
  const std::vector<std::string> folders{"file:///home/ada/.emacs.d", "file:///p/.git"};
  CHECK_FALSE(is_off_limits("file:///home/ada/.emacs.d/init.el", folders));
  CHECK(is_off_limits("file:///home/ada/.emacs.d/.dir-locals.el", folders));
  CHECK(is_off_limits("file:///home/ada/.vim/vimrc", folders));
  CHECK(is_off_limits("file:///p/.git/config", folders));
}

}  // namespace hearth::lsp::test
