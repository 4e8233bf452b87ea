#include "engine/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <future>
#include <map>
#include <thread>

#include "base/random.h"
#include "engine/loaded_model.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::HasSubstr;
using Lease = ModelRegistry::Lease;

constexpr auto kPatience = std::chrono::seconds(20);

class ModelRegistryTest : public testing::Test {
 protected:
  ~ModelRegistryTest() override {
    if (registry_ == nullptr) return;
    const Status intact = registry_->CheckIntegrity();
    EXPECT_TRUE(intact) << intact.error().message;
  }

  static ModelSpec Spec(const std::string& name, const std::string& golden = "llama") {
    return {.name = name,
            .aliases = {},
            .path = GoldenFile("gguf/" + golden + ".gguf"),
            .load = {.isa = DetectIsa()},
            .engine = {.kv_memory_bytes = 2 << 20, .budget = {}, .max_running = 4, .max_waiting = 16}};
  }
  void Start(std::vector<ModelSpec> specs, RegistryOptions options = {}) {
    options.num_threads = 2;
    auto registry = ModelRegistry::Create(std::move(specs), options, Clock::Real());
    ASSERT_TRUE(registry) << registry.error().message;
    registry_ = *std::move(registry);
  }
  // What one loaded model of Spec() takes.
  static int64_t BytesOfOne() {
    static const int64_t bytes = [] {
      const ModelSpec spec = Spec("m");
      const auto model = *LoadedModel::Load(spec.path, spec.load);
      return model->lm().weight_bytes() + Engine::PlanKv(*model, spec.engine)->num_bytes;
    }();
    return bytes;
  }

  std::future<Result<Lease>> AcquireSoon(const std::string& name) {
    auto promise = std::make_shared<std::promise<Result<Lease>>>();
    registry_->Acquire(name, [promise](Result<Lease> lease) { promise->set_value(std::move(lease)); });
    return promise->get_future();
  }
  Result<Lease> TryAcquire(const std::string& name) { return AcquireSoon(name).get(); }
  Lease Acquire(const std::string& name) {
    Result<Lease> lease = TryAcquire(name);
    EXPECT_TRUE(lease) << lease.error().message;
    return lease.value_or(nullptr);
  }
  Status Unload(const std::string& name) {
    auto promise = std::make_shared<std::promise<Status>>();
    registry_->Unload(name, [promise](Status status) { promise->set_value(std::move(status)); });
    return promise->get_future().get();
  }
  static bool IsReady(const std::future<Result<Lease>>& future) {
    return future.wait_for(std::chrono::milliseconds(30)) == std::future_status::ready;
  }

  ModelStatus StatusOf(const std::string& name) const {
    for (const ModelStatus& status : registry_->Models()) {
      if (status.name == name) return status;
    }
    ADD_FAILURE() << name;
    return {};
  }
  ModelState StateOf(const std::string& name) const { return StatusOf(name).state; }
  bool AwaitState(const std::string& name, ModelState state) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (StateOf(name) != state) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  struct Answer {
    std::vector<TokenId> tokens;
    int64_t num_cached = 0;
    bool operator==(const Answer&) const = default;
  };
  static Answer Generate(Engine& engine, int64_t prompt_length = 100, TokenId first = 10) {
    GenerationRequest request{.id = "test"};
    for (int64_t i = 0; i < prompt_length; ++i) request.prompt_tokens.push_back(static_cast<TokenId>(3 + (first + i * 31) % 500));
    request.sampling.temperature = 0;
    request.sampling.max_tokens = 8;
    request.sampling.ignore_eos = true;
    const auto stream = engine.Submit(std::move(request));
    EXPECT_TRUE(stream) << stream.error().message;
    Answer answer;
    while (stream) {
      const TokenStream::Update update = (*stream)->Take();
      answer.tokens.insert(answer.tokens.end(), update.tokens.begin(), update.tokens.end());
      answer.num_cached = update.num_cached_tokens;
      if (update.finish) {
        EXPECT_EQ(update.finish, FinishReason::kLength);
        break;
      }
      std::this_thread::yield();
    }
    return answer;
  }

  std::unique_ptr<ModelRegistry> registry_;
};

TEST_F(ModelRegistryTest, NothingIsLoadedBeforeItIsAskedFor) {
  Start({Spec("a"), Spec("b")});
  EXPECT_EQ(registry_->memory_used_bytes(), 0);
  EXPECT_EQ(StateOf("a"), ModelState::kUnloaded);
  const Lease lease = Acquire("a");
  EXPECT_EQ(StateOf("a"), ModelState::kLoaded);
  EXPECT_EQ(StateOf("b"), ModelState::kUnloaded);
  EXPECT_EQ(registry_->memory_used_bytes(), BytesOfOne());
  EXPECT_EQ(Generate(*lease).tokens.size(), 8u);
}

TEST_F(ModelRegistryTest, Names_AreTheModelItsAliasesAndDefault) {
  ModelSpec a = Spec("a");
  a.aliases = {"first", "best"};
  Start({a, Spec("b")});
  for (const char* name : {"", "default", "a", "first", "best"}) EXPECT_EQ(*registry_->Resolve(name), "a");
  EXPECT_EQ(*registry_->Resolve("b"), "b");
  const auto unknown = registry_->Resolve("c");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(unknown.error().param, "model");
  EXPECT_EQ(TryAcquire("c").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Acquire("first"), Acquire("default"));
}

TEST_F(ModelRegistryTest, DoubledAndReservedNames_AreRefused) {
  for (const std::string name : {"a", "default", ""}) {
    const auto registry = ModelRegistry::Create({Spec("a"), Spec(name)}, {}, Clock::Real());
    ASSERT_FALSE(registry) << name;
    EXPECT_EQ(registry.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(ModelRegistry::Create({}, {}, Clock::Real()));
}

TEST_F(ModelRegistryTest, Precisions_AreServedSideBySide) {
  Start({Spec("a")});
  EXPECT_EQ(*registry_->Resolve("a@int8"), "a@int8");
  EXPECT_EQ(*registry_->Resolve("default@int8"), "a@int8");
  EXPECT_EQ(*registry_->Resolve("a@as-stored"), "a");
  EXPECT_FALSE(registry_->Resolve("a@int4"));
  EXPECT_FALSE(registry_->Resolve("b@int8"));
  const Lease plain = Acquire("a");
  const Lease int8 = Acquire("a@int8");
  EXPECT_NE(plain, int8);
  EXPECT_EQ(Acquire("default@int8"), int8);
  EXPECT_LT(StatusOf("a@int8").weight_bytes, StatusOf("a").weight_bytes / 2);
  EXPECT_EQ(registry_->Models().size(), 2u);
}

TEST_F(ModelRegistryTest, LeastRecentlyUsed_GoesWhenMemoryIsShort) {
  Start({Spec("a"), Spec("b"), Spec("c")}, {.memory_budget_bytes = 2 * BytesOfOne() + 1000});
  Acquire("a");
  Acquire("b");
  Acquire("a");
  Acquire("c");
  EXPECT_EQ(StateOf("a"), ModelState::kLoaded);
  EXPECT_EQ(StateOf("b"), ModelState::kUnloaded);
  EXPECT_EQ(StateOf("c"), ModelState::kLoaded);
  EXPECT_EQ(StatusOf("b").num_evictions, 1);
  EXPECT_LE(registry_->memory_used_bytes(), registry_->memory_budget_bytes());
}

TEST_F(ModelRegistryTest, InUse_IsNeverEvicted) {
  Start({Spec("a"), Spec("b"), Spec("c")}, {.memory_budget_bytes = 2 * BytesOfOne() + 1000});
  const Lease a = Acquire("a");  // the least recently used, but in use
  Acquire("b");
  Acquire("c");
  EXPECT_EQ(StateOf("a"), ModelState::kLoaded);
  EXPECT_EQ(StateOf("b"), ModelState::kUnloaded);
  EXPECT_EQ(Generate(*a).tokens.size(), 8u);
}

TEST_F(ModelRegistryTest, WhereAllAreBusy_ALoadWaitsForTheLeastRecentlyUsed) {
  Start({Spec("a"), Spec("b"), Spec("c")}, {.memory_budget_bytes = 2 * BytesOfOne() + 1000});
  Lease a = Acquire("a");
  Lease b = Acquire("b");
  auto c = AcquireSoon("c");
  EXPECT_FALSE(IsReady(c));
  // A busy model that gives way takes no more; the other one does.
  auto a_again = AcquireSoon("a");
  EXPECT_FALSE(IsReady(a_again));
  EXPECT_EQ(Acquire("b"), b);
  EXPECT_EQ(Generate(*a).tokens.size(), 8u) << "what runs goes on";
  a.reset();
  Lease c_lease = c.get().value();
  EXPECT_EQ(StatusOf("a").num_evictions, 1);
  // And now it is a's turn: c and b are busy, and b was used less recently.
  EXPECT_FALSE(IsReady(a_again));
  b.reset();
  EXPECT_TRUE(a_again.get());
  EXPECT_EQ(StatusOf("b").num_evictions, 1);
  EXPECT_EQ(Generate(*c_lease).tokens.size(), 8u);
}

TEST_F(ModelRegistryTest, TooLargeForTheBudget_IsAnErrorWithBothNumbers) {
  Start({Spec("a")}, {.memory_budget_bytes = BytesOfOne() - 1});
  const auto lease = TryAcquire("a");
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(lease.error().message, testing::ContainsRegex("needs [0-9]+ MiB.*budget .* is [0-9]+ MiB"));
  EXPECT_EQ(StateOf("a"), ModelState::kFailed);
}

TEST_F(ModelRegistryTest, UnloadedAndBack_KnowsItsPrefixesAndAnswersTheSame) {
  Start({Spec("a")});
  const Answer first = Generate(*Acquire("a"));
  EXPECT_EQ(first.num_cached, 0);
  const Answer cached = Generate(*Acquire("a"));
  EXPECT_EQ(cached.tokens, first.tokens);
  EXPECT_EQ(cached.num_cached, 99);
  ASSERT_TRUE(Unload("a"));
  EXPECT_EQ(StateOf("a"), ModelState::kUnloaded);
  EXPECT_GT(StatusOf("a").kept_kv_bytes, 0);
  EXPECT_EQ(registry_->memory_used_bytes(), StatusOf("a").kept_kv_bytes);
  EXPECT_EQ(Generate(*Acquire("a")), cached);
  EXPECT_EQ(StatusOf("a").kept_kv_bytes, 0);
  EXPECT_EQ(StatusOf("a").num_loads, 2);
  // Counters go on.
  EXPECT_EQ(StatusOf("a").engine.blocks.prefix_hits, 2 * 99);
}

TEST_F(ModelRegistryTest, KeptPrefixes_GoBeforeAnyModel) {
  // Room for two models, but not for what a third keeps.
  Start({Spec("a"), Spec("b"), Spec("c")}, {.memory_budget_bytes = 2 * BytesOfOne() + 1000});
  Generate(*Acquire("a"));
  ASSERT_TRUE(Unload("a"));
  Acquire("b");
  EXPECT_GT(StatusOf("a").kept_kv_bytes, 0);
  Acquire("c");
  EXPECT_EQ(StatusOf("a").kept_kv_bytes, 0);
  EXPECT_EQ(StateOf("b"), ModelState::kLoaded);
  EXPECT_EQ(Generate(*Acquire("a")).num_cached, 0);
}

TEST_F(ModelRegistryTest, PrefixesOfChangedFiles_AreForgotten) {
  const std::filesystem::path copy =
      std::filesystem::path(testing::TempDir()) / ("registry_" + std::to_string(getpid()) + ".gguf");
  std::filesystem::copy_file(GoldenFile("gguf/llama.gguf"), copy, std::filesystem::copy_options::overwrite_existing);
  ModelSpec spec = Spec("a");
  spec.path = copy;
  Start({spec});
  Generate(*Acquire("a"));
  ASSERT_TRUE(Unload("a"));
  const std::filesystem::path next = copy.string() + ".next";
  std::filesystem::copy_file(GoldenFile("gguf/llama.gguf"), next, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::rename(next, copy);
  EXPECT_EQ(Generate(*Acquire("a")).num_cached, 0);
  std::filesystem::remove(copy);
}

TEST_F(ModelRegistryTest, Unload_WaitsForItsUsers) {
  Start({Spec("a")});
  Lease lease = Acquire("a");
  std::promise<Status> unloaded;
  registry_->Unload("a", [&](Status status) { unloaded.set_value(std::move(status)); });
  auto future = unloaded.get_future();
  EXPECT_EQ(future.wait_for(std::chrono::milliseconds(30)), std::future_status::timeout);
  EXPECT_EQ(Generate(*lease).tokens.size(), 8u);
  auto again = AcquireSoon("a");  // comes back for this one
  lease.reset();
  EXPECT_TRUE(future.get());
  EXPECT_TRUE(again.get());
  EXPECT_EQ(StatusOf("a").num_loads, 2);
}

TEST_F(ModelRegistryTest, UnloadOfWhatIsNotLoaded_IsDone) {
  Start({Spec("a")});
  EXPECT_TRUE(Unload("a"));
  EXPECT_TRUE(Unload("a@int8"));
  EXPECT_EQ(Unload("b").error().code, ErrorCode::kNotFound);
}

TEST_F(ModelRegistryTest, Idle_IsUnloadedAfterATime) {
  Start({Spec("a"), Spec("b")}, {.idle_unload = std::chrono::milliseconds(50)});
  const Lease b = Acquire("b");
  Acquire("a");
  EXPECT_TRUE(AwaitState("a", ModelState::kUnloaded));
  EXPECT_EQ(StateOf("b"), ModelState::kLoaded);
}

TEST_F(ModelRegistryTest, FailedLoad_SaysWhyAndIsTriedAgainLater) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / ("registry_late_" + std::to_string(getpid()) + ".gguf");
  std::filesystem::remove(path);
  ModelSpec spec = Spec("a");
  spec.path = path;
  Start({spec, Spec("b")}, {.retry_after_failure = std::chrono::milliseconds(40)});
  const auto missing = TryAcquire("a");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kInternal);
  EXPECT_THAT(missing.error().message, HasSubstr(path.filename().string()));
  EXPECT_THAT(StatusOf("a").failure, HasSubstr(path.filename().string()));
  std::filesystem::copy_file(GoldenFile("gguf/llama.gguf"), path);
  EXPECT_FALSE(TryAcquire("a")) << "not yet";
  EXPECT_TRUE(TryAcquire("b")) << "others are not touched";
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(TryAcquire("a"));
  std::filesystem::remove(path);
}

TEST_F(ModelRegistryTest, Events_TellWhatHappened) {
  ModelSpec broken = Spec("broken");
  broken.path = "/nowhere/model.gguf";
  std::vector<std::string> events;  // written on the loader thread, before the callbacks that are waited for below
  RegistryOptions options{.memory_budget_bytes = BytesOfOne() + 1000};
  options.on_event = [&](const ModelEvent& event) {
    constexpr const char* kKinds[] = {"loaded", "unloaded", "failed"};
    events.push_back(event.model + " " + kKinds[static_cast<int>(event.kind)] + (event.was_evicted ? " (evicted)" : "") +
                     (event.problem.empty() ? "" : ": why"));
  };
  Start({Spec("a"), Spec("b"), broken}, options);
  Acquire("a");
  Acquire("b");
  EXPECT_TRUE(Unload("b"));
  EXPECT_FALSE(TryAcquire("broken"));
  EXPECT_THAT(events, testing::ElementsAre("a loaded", "a unloaded (evicted)", "b loaded", "b unloaded", "broken failed: why"));
}

TEST_F(ModelRegistryTest, TooManyWaiting_AreRefused) {
  Start({Spec("a"), Spec("b")}, {.memory_budget_bytes = BytesOfOne() + 1000, .max_waiting = 2});
  Lease a = Acquire("a");
  auto first = AcquireSoon("b"), second = AcquireSoon("b");
  EXPECT_EQ(TryAcquire("b").error().code, ErrorCode::kResourceExhausted);
  a.reset();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

TEST_F(ModelRegistryTest, Drain_RefusesNewOnesAndLetsTheOldOnesEnd) {
  Start({Spec("a"), Spec("b")}, {.memory_budget_bytes = BytesOfOne() + 1000});
  Lease a = Acquire("a");
  auto waiting = AcquireSoon("b");
  registry_->BeginDrain();
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(TryAcquire("a").error().code, ErrorCode::kUnavailable);
}

TEST_F(ModelRegistryTest, End_AnswersWhoWaits) {
  Start({Spec("a"), Spec("b")}, {.memory_budget_bytes = BytesOfOne() + 1000});
  Lease a = Acquire("a");
  auto waiting = AcquireSoon("b");
  EXPECT_FALSE(IsReady(waiting));
  std::thread ending([&] { registry_.reset(); });
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kUnavailable);
  a.reset();
  ending.join();
}

// Three models under a budget for two, asked at random by several threads: every answer is the one given alone, the budget holds
// at every moment that is looked at, and nobody is forgotten.
TEST_F(ModelRegistryTest, RandomRequests_AreAllAnsweredWithinTheBudget) {
  const std::vector<std::string> names = {"llama", "glm4", "gemma2"};
  std::map<std::string, std::vector<TokenId>> alone;
  std::vector<ModelSpec> specs;
  int64_t largest = 0, total = 0;
  for (const std::string& name : names) {
    specs.push_back(Spec(name, name));
    Start({specs.back()});
    alone[name] = Generate(*Acquire(name)).tokens;
    largest = std::max(largest, registry_->memory_used_bytes());
    total += registry_->memory_used_bytes();
  }
  const int64_t budget = std::max(total - 1, largest);  // never all three
  Start(specs, {.memory_budget_bytes = budget});
  std::atomic<int64_t> num_answers{0};
  std::atomic<bool> is_over{false};
  std::thread watcher([&] {
    while (!is_over) EXPECT_LE(registry_->memory_used_bytes(), budget);
  });
  std::vector<std::thread> users;
  users.reserve(4);
  for (int user = 0; user < 4; ++user) {
    users.emplace_back([&, user] {
      Random random(static_cast<uint64_t>(user));
      for (int i = 0; i < 25; ++i) {
        const std::string& name = names[random.NextBelow(names.size())];
        const Lease lease = Acquire(name);
        EXPECT_EQ(Generate(*lease).tokens, alone[name]);
        ++num_answers;
      }
    });
  }
  for (std::thread& user : users) user.join();
  is_over = true;
  watcher.join();
  EXPECT_EQ(num_answers, 100);
  int64_t num_evictions = 0;
  for (const ModelStatus& status : registry_->Models()) num_evictions += status.num_evictions;
  EXPECT_GT(num_evictions, 0);
}

}  // namespace
}  // namespace autoglm
