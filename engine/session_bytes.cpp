// A session as bytes and back: a header that binds them to a checkpoint and its numerics, the
// tokens, then the state. Read as untrusted input.
#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/engine.hpp"
#include "engine/fingerprint.hpp"
#include "engine/forward.hpp"
#include "engine/state.hpp"

namespace hearth::engine {

namespace {

constexpr std::uint64_t magic = 0x3153'5345'5448'5248;  // "HRHTESS1"

class Writer {
 public:
  void number(std::uint64_t value) { raw(std::as_bytes(std::span(&value, 1))); }
  template <typename T>
  void values(std::span<const T> items) {
    number(items.size());
    raw(std::as_bytes(items));
  }
  void buffer(kernels::Backend& backend, const kernels::Buffer& from, std::size_t count) {
    number(count);
    const std::size_t at = bytes_.size();
    bytes_.resize(at + count);
    if (count > 0) backend.read(from, 0, std::span(bytes_).subspan(at));
  }
  std::vector<std::byte> finish() && {
    number(fnv1a(bytes_));
    return std::move(bytes_);
  }

 private:
  void raw(std::span<const std::byte> part) {
    bytes_.insert(bytes_.end(), part.begin(), part.end());
  }
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  template <typename T>
  std::vector<T> values() {
    const std::uint64_t count = number();
    if (count > bytes_.size() / sizeof(T)) throw damaged();
    std::vector<T> items(static_cast<std::size_t>(count));
    const std::span<const std::byte> part = take(items.size() * sizeof(T));
    if (!items.empty()) std::memcpy(items.data(), part.data(), part.size());
    return items;
  }
  void buffer(kernels::Backend& backend, kernels::Buffer& to, std::size_t expected) {
    if (number() != expected) throw damaged();
    const std::span<const std::byte> part = take(expected);
    if (expected > 0) backend.write(to, 0, part);
  }
  bool at_end() const { return bytes_.empty(); }
  static Error damaged() {
    return Error("the saved state is damaged; it will have to be computed again");
  }

 private:
  std::span<const std::byte> take(std::size_t count) {
    if (count > bytes_.size()) throw damaged();
    const std::span<const std::byte> part = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return part;
  }
  std::span<const std::byte> bytes_;
};

}  // namespace

std::vector<std::byte> Session::save() const {
  kernels::Backend& backend = engine_->backend();
  Writer writer;
  writer.number(magic);
  writer.number(engine_->fingerprint());
  writer.values(std::span(tokens_));
  writer.values(std::span(logits_));
  writer.values(std::span(std::as_const(state_->hidden)));
  for (const kernels::KvCache& kv : state_->kv) {
    writer.buffer(backend, kv.keys, kv_bytes(kv, position()));
    writer.buffer(backend, kv.values, kv_bytes(kv, position()));
  }
  for (const kernels::Buffer& buffer : state_->recurrent.delta)
    writer.buffer(backend, buffer, buffer.bytes());
  for (const kernels::Buffer& buffer : state_->recurrent.conv)
    writer.buffer(backend, buffer, buffer.bytes());
  return std::move(writer).finish();
}

Session Session::restore(std::shared_ptr<const Engine> engine, std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(std::uint64_t)) throw Reader::damaged();
  const std::span<const std::byte> body = bytes.first(bytes.size() - sizeof(std::uint64_t));
  if (Reader(bytes.last(sizeof(std::uint64_t))).number() != fnv1a(body)) throw Reader::damaged();

  Reader reader(body);
  if (reader.number() != magic) throw Reader::damaged();
  if (reader.number() != engine->fingerprint()) {
    throw Error("the saved state belongs to another checkpoint or configuration");
  }
  Session session(std::move(engine));
  kernels::Backend& backend = session.engine_->backend();
  const auto vocab = static_cast<std::size_t>(session.engine_->config().vocab_size);
  const auto hidden = static_cast<std::size_t>(session.engine_->config().hidden_size);
  session.tokens_ = reader.values<TokenId>();
  session.logits_ = reader.values<float>();
  State& state = *session.state_;
  state.hidden = reader.values<float>();
  const bool sizes_fit = (session.logits_.empty() || session.logits_.size() == vocab) &&
                         state.hidden.size() == (session.tokens_.empty() ? 0 : hidden);
  if (!sizes_fit) throw Reader::damaged();
  for (kernels::KvCache& kv : state.kv) {
    reserve(backend, kv, 0, session.position());
    reader.buffer(backend, kv.keys, kv_bytes(kv, session.position()));
    reader.buffer(backend, kv.values, kv_bytes(kv, session.position()));
  }
  for (kernels::Buffer& buffer : state.recurrent.delta)
    reader.buffer(backend, buffer, buffer.bytes());
  for (kernels::Buffer& buffer : state.recurrent.conv)
    reader.buffer(backend, buffer, buffer.bytes());
  if (!reader.at_end()) throw Reader::damaged();
  return session;
}

}  // namespace hearth::engine
