// Which lines look like secrets, and what is shown in their place.
#include "lsp/context/secret_lines.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hearth::lsp;

TEST_CASE("keys and passwords in code look like secrets") {
  // Put together here, so that no scanner takes this file for a leak.
  const std::string random =
      "Zm9vYmFy"
      "MTIzNDU2Nzg5MGFi";
  for (const std::string& line : {
           "aws = \"AKIA" + std::string("IOSFODNN7EXAMPLE\""),
           "gh = 'ghp_" + random + random + "'",
           "client = OpenAI(\"sk-" + random + "\")",
           "const slack = `xoxb-" + random + "`;",
           std::string("password = \"hunter2\""),
           std::string("    DB_PASSWORD: str = 'x y z'"),
           std::string("String passwd = \"hunter2\";"),
           std::string("  \"password\": \"hunter2\","),
           std::string("def connect(host, password=\"hunter2\"):"),
           std::string("let secret = String::from(\"hunter2\");"),
           std::string("api_key := \"abc\""),
           std::string("$token => 'abc',"),
           std::string("std::string api_key{}; const char* secret[] = {\"abc\"};"),
           "signing_key: " + random,
           "KEY = \"" + random + "\"",
           std::string("url = \"postgres://ada:hunter2@host/db\""),
           "jwt = \"eyJ" + random + random + "." + random + "\"",
           std::string("-----BEGIN RSA PRIVATE KEY-----"),
       }) {
    CAPTURE(line);
    CHECK(looks_secret(line));
  }
}

TEST_CASE("code about secrets is no secret") {
  for (const std::string line : {
           "def check_password(user, password: str) -> bool:",
           "password = os.environ[\"DB_PASSWORD\"]",
           "password = \"\"",
           "token = \"${TOKEN}\"",
           "String getToken(String name);",
           "const token = next(tokens);",
           "std::string password_of(const User& user);",
           "struct Token { kind: Kind, text: String }",
           "key = \"name\"",
           "monkey = { \"a\": 1 }",
           "def task-sk-index(a)",
           "-----BEGIN PUBLIC KEY-----",
           "fn key(&self) -> u64",
           "https://example.org/a:b@c",
           "if (tokens.size() == 3) return;",
       }) {
    CAPTURE(line);
    CHECK_FALSE(looks_secret(line));
  }
}

TEST_CASE("a comment stands in a secret's place") {
  CHECK(without_secrets("a = 1\n  password = \"x\"\nb = 2", "#", "") ==
        "a = 1\n  # left out: it looks like a secret\nb = 2");
  CHECK(without_secrets("let secret = \"x\"\n", "(*", "*)") ==
        "(* left out: it looks like a secret *)\n");
  CHECK(without_secrets("password: \"x\"\n", "", "") == "[left out: it looks like a secret]\n");
}

TEST_CASE("a private key goes as a whole") {
  CHECK(without_secrets("k = \"\"\"\n-----BEGIN PRIVATE KEY-----\nabc\ndef\n"
                        "-----END PRIVATE KEY-----\n\"\"\"\n",
                        "#", "") == "k = \"\"\"\n# left out: it looks like a secret\n\"\"\"\n");
  CHECK(without_secrets("-----BEGIN PRIVATE KEY-----\nabc\n", "#", "") ==
        "# left out: it looks like a secret\n");
}
