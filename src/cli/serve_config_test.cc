#include "cli/serve_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

struct Sample {
  std::string name;
  std::string value;  // differs from the default
};

std::vector<Sample> Samples() {
  return {{"model", "m.gguf"},
          {"served-model-name", "assistant"},
          {"host", "0.0.0.0"},
          {"port", "9000"},
          {"unauthenticated", "anywhere"},
          {"max-body", "1M"},
          {"drain-timeout", "5"},
          {"threads", "3"},
          {"isa", "scalar"},
          {"arithmetic", "exact"},
          {"precision", "int8"},
          {"kv-type", "int8"},
          {"context", "4096"},
          {"kv-memory", "2G"},
          {"prepared-cache", "weights"},
          {"prepared-cache-size", "3G"},
          {"kv-compressed-memory", "300M"},
          {"kv-disk", "prefixes"},
          {"kv-disk-size", "4G"},
          {"kv-events", "tcp://*:5557"},
          {"kv-events-replay", "tcp://*:5657"},
          {"kv-events-topic", "kv@pod@{model}"},
          {"memory-budget", "5G"},
          {"idle-unload", "60"},
          {"preload", "all"},
          {"max-running", "7"},
          {"max-queue", "9"},
          {"max-queue-seconds", "33"},
          {"slo-class", "gold=3"},
          {"priority-step", "10"},
          {"speculation", "off"},
          {"max-batch-tokens", "300"},
          {"max-batch-tokens-decode", "30"},
          {"inter-token-slo", "20"},
          {"degrade-max-tokens", "0.5:256"},
          {"degrade-n", "0.6"},
          {"degrade-model", "0.7:small"},
          {"degrade-refuse", "0.9"},
          {"keys-database", "my-keys.db"},
          {"slo", "slo.json"},
          {"slo-state", "slo.state"},
          {"alert-webhook", "http://localhost:9093/hook"},
          {"metrics-names", "vllm"},
          {"otlp", "http://localhost:4318"},
          {"otlp-encoding", "json"},
          {"zipkin", "http://localhost:9411"},
          {"trace-sample", "0.25"},
          {"trace-slow-ms", "500"},
          {"trace-texts", "messages"},
          {"otlp-metrics-ms", "5000"},
          {"service-name", "chat"},
          {"request-records", "1000"},
          {"log-file", "a.log"},
          {"log-level", "debug"},
          {"log-format", "json"}};
}

std::string Underscored(std::string name) {
  std::ranges::replace(name, '-', '_');
  return name;
}

Result<ServeConfig> FromYaml(const std::string& yaml) {
  ServeConfig config;
  AUTOGLM_TRY_VOID(ApplyServeYaml(yaml, "autoglm.yaml", config));
  return config;
}

std::string YamlError(const std::string& yaml) {
  const Result<ServeConfig> config = FromYaml(yaml);
  EXPECT_FALSE(config) << yaml;
  return config ? "" : config.error().message;
}

std::filesystem::path WriteTemporary(const std::string& text) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "serve_config_test.yaml";
  std::ofstream(path) << text;
  return path;
}

TEST(ServeConfig, ClassesAndSteps_AreReadPartByPart) {
  const auto config = FromYaml("slo_class: [gold=3, batch=60]\ndegrade_max_tokens: 0.5:256\ndegrade_model: 0.75:small\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->slo_classes.at("gold"), std::chrono::seconds(3));
  EXPECT_EQ(config->slo_classes.at("batch"), std::chrono::seconds(60));
  EXPECT_EQ(config->slo_classes.at("interactive"), std::chrono::seconds(1));
  EXPECT_EQ(config->degradation.cap_from, 0.5);
  EXPECT_EQ(config->degradation.cap_tokens, 256);
  EXPECT_EQ(config->degradation.smaller_model, "small");
  EXPECT_THAT(YamlError("slo_class: gold"), testing::HasSubstr("NAME=SECONDS"));
  EXPECT_THAT(YamlError("degrade_n: 1.5"), testing::HasSubstr("0 (idle"));
  EXPECT_THAT(YamlError("degrade_max_tokens: 0.5"), testing::HasSubstr("PRESSURE:TOKENS"));
  EXPECT_THAT(YamlError("unauthenticated: maybe"), testing::HasSubstr("loopback or anywhere"));
}

TEST(ServeConfig, EveryOptionHasASample) {
  ASSERT_EQ(Samples().size(), ServeOptions().size());
  for (size_t i = 0; i < Samples().size(); ++i) EXPECT_EQ(Samples()[i].name, ServeOptions()[i].name);
}

TEST(ServeConfig, FlagAndYamlMeanTheSame) {
  for (const Sample& sample : Samples()) {
    const ServeFlags model = sample.name == "model" ? ServeFlags{} : ServeFlags{{"model", {"x.gguf"}}};
    ServeFlags flags = model;
    flags[sample.name] = {sample.value};
    const Result<ServeConfig> from_flag = BuildServeConfig(std::nullopt, flags);
    const Result<ServeConfig> from_file =
        BuildServeConfig(WriteTemporary(Underscored(sample.name) + ": " + sample.value + "\n"), model);
    ASSERT_TRUE(from_flag) << sample.name << ": " << from_flag.error().message;
    ASSERT_TRUE(from_file) << sample.name << ": " << from_file.error().message;
    EXPECT_EQ(*from_flag, *from_file) << sample.name;
    ServeConfig untouched;
    if (sample.name != "model") untouched.models = {{.path = "x.gguf"}};
    const bool is_only_isa_here = sample.name == "isa" && DetectIsa() == Isa::kScalar;
    EXPECT_EQ(*from_flag == untouched, is_only_isa_here) << sample.name << " has no effect";
  }
}

TEST(ServeConfig, FlagsWinOverTheFile) {
  const auto file = WriteTemporary("model: file.gguf\nport: 1\nthreads: 2\nserved_model_name: [a, b]\n");
  const Result<ServeConfig> config = BuildServeConfig(file, {{"port", {"9"}}, {"served-model-name", {"c"}}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->port, 9);
  EXPECT_EQ(config->threads, 2);
  ASSERT_EQ(config->models.size(), 1u);
  EXPECT_EQ(config->models[0].path, "file.gguf");
  EXPECT_THAT(config->served_model_names, ElementsAre("c"));
}

TEST(ServeConfig, NamesMayBeOneOrAList) {
  EXPECT_THAT(FromYaml("served_model_name: a\n")->served_model_names, ElementsAre("a"));
  EXPECT_THAT(FromYaml("served_model_name: [a, b]\n")->served_model_names, ElementsAre("a", "b"));
  EXPECT_THAT(FromYaml("served_model_name:\n  - a\n  - b\n")->served_model_names, ElementsAre("a", "b"));
}

TEST(ServeConfig, SeveralModels_HaveWhatIsTheirOwn) {
  const Result<ServeConfig> config = FromYaml(
      "models:\n"
      "  - models/large.gguf\n"
      "  - {model: small/, name: little, aliases: [a, b], precision: int8, context: 4096, kv_memory: 1G}\n"
      "context: 8192\n");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->models.size(), 2u);
  EXPECT_EQ(NameOf(config->models[0]), "large");
  EXPECT_FALSE(config->models[0].context.has_value());
  const ServedModelConfig& small = config->models[1];
  EXPECT_EQ(NameOf(small), "little");
  EXPECT_THAT(small.aliases, ElementsAre("a", "b"));
  EXPECT_EQ(small.precision, WeightPrecision::kInt8);
  EXPECT_EQ(small.context, 4096);
  EXPECT_EQ(small.kv_memory_bytes, int64_t{1} << 30);
  EXPECT_EQ(NameOf({.path = "models/glm/"}), "glm");
  EXPECT_EQ(FromYaml("model: [a.gguf, b.gguf]\n")->models.size(), 2u);
}

TEST(ServeConfig, BadModelsAreNamedWithTheirLine) {
  EXPECT_EQ(YamlError("models: x.gguf\n"), "autoglm.yaml:1: models: must be a list of models");
  EXPECT_THAT(YamlError("models:\n  - a.gguf\n  - {name: b}\n"), StartsWith("autoglm.yaml:3: an entry of models needs 'model'"));
  EXPECT_THAT(YamlError("models:\n  - {model: a, speed: 9}\n"), HasSubstr("speed: unknown key; known are model, name"));
  EXPECT_THAT(YamlError("models:\n  - {model: a, context: many}\n"), StartsWith("autoglm.yaml:2: context: must be auto"));
  EXPECT_THAT(YamlError("models:\n  - [a, b]\n"), HasSubstr("must be a path"));
  EXPECT_THAT(YamlError("model: a\nmodels: [b]\n"), StartsWith("autoglm.yaml:2: 'model' stands here a second time"));
  EXPECT_THAT(YamlError("memory_budget: 0\n"), HasSubstr("none or auto"));
}

TEST(ServeConfig, EmptyFileChangesNothing) {
  EXPECT_EQ(*FromYaml(""), ServeConfig());
  EXPECT_EQ(*FromYaml("# only a comment\n"), ServeConfig());
}

TEST(ServeConfig, UnknownKeyIsNamedWithItsLine) {
  EXPECT_THAT(YamlError("port: 80\n\nprot: 81\n"), StartsWith("autoglm.yaml:3: unknown key 'prot'; known are model,"));
  EXPECT_THAT(YamlError("max-queue: 3\n"), HasSubstr("max_queue"));
}

TEST(ServeConfig, BadValueIsNamedWithItsLine) {
  EXPECT_EQ(YamlError("host: h\nport: eighty\n"), "autoglm.yaml:2: port: must be a whole number from 0 to 65535, not 'eighty'");
  EXPECT_EQ(YamlError("kv_memory: lots\n"), "autoglm.yaml:1: kv_memory: must be a size such as 512M or 2G, not 'lots'");
  EXPECT_EQ(YamlError("port:\n"), "autoglm.yaml:1: port: has no value");
  EXPECT_EQ(YamlError("port: [1, 2]\n"), "autoglm.yaml:1: port: must be one plain value");
  EXPECT_EQ(YamlError("served_model_name: {a: b}\n"), "autoglm.yaml:1: served_model_name: must be a value or a list of values");
  EXPECT_EQ(YamlError("served_model_name: [[a]]\n"), "autoglm.yaml:1: served_model_name: must be a list of plain values");
  EXPECT_THAT(YamlError("served_model_name: default\n"), HasSubstr("always names the first model"));
}

TEST(ServeConfig, KeyGivenTwiceIsRefused) {
  EXPECT_EQ(YamlError("port: 1\nport: 2\n"), "autoglm.yaml:2: 'port' stands here a second time");
}

TEST(ServeConfig, BrokenYamlIsNamedWithItsLine) {
  EXPECT_THAT(YamlError("port: 1\nhost: [\n"), testing::ContainsRegex("^autoglm.yaml:[0-9]+: "));
  EXPECT_THAT(YamlError("- port\n"), StartsWith("autoglm.yaml:1: must be a list of lines such as"));
  EXPECT_THAT(YamlError("just text\n"), StartsWith("autoglm.yaml:1: must be"));
  EXPECT_THAT(YamlError("[1, 2]: 3\n"), StartsWith("autoglm.yaml:1: a key must be plain text"));
}

TEST(ServeConfig, SecondYamlDocumentIsRefused) {
  EXPECT_THAT(YamlError("port: 1\n---\nport: 2\n"), HasSubstr("autoglm.yaml:2: "));
  EXPECT_EQ(FromYaml("---\nport: 1\n...\n").value().port, 1);
}

TEST(ServeConfig, FileThatIsNoConfigurationIsNotReadToItsEnd) {
  const Result<ServeConfig> config = BuildServeConfig(WriteTemporary("model: a\n" + std::string(2 << 20, '#')), {});
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().message, HasSubstr("larger than 1048576 bytes"));
}

TEST(ServeConfig, BodyLimitOfZeroIsRefused) {
  EXPECT_THAT(YamlError("max_body: 0\n"), HasSubstr("max_body"));
  EXPECT_EQ(FromYaml("max_body: 1\n").value().max_body_bytes, 1);
}

TEST(ServeConfig, MissingFileIsNotFound) {
  const Result<ServeConfig> config = BuildServeConfig("/nonexistent/autoglm.yaml", {{"model", {"m.gguf"}}});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(config.error().message, "cannot open /nonexistent/autoglm.yaml: No such file or directory");
}

TEST(ServeConfig, NoModelIsRefused) {
  const Result<ServeConfig> config = BuildServeConfig(std::nullopt, {});
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().message, StartsWith("no model: name a GGUF file"));
}

TEST(ServeConfig, DecodeBudgetAboveTheBudgetIsRefused) {
  const Result<ServeConfig> config =
      BuildServeConfig(std::nullopt, {{"model", {"m.gguf"}}, {"max-batch-tokens", {"10"}}, {"max-batch-tokens-decode", {"11"}}});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message, "max-batch-tokens-decode (11) must not be larger than max-batch-tokens (10)");
}

TEST(ServeYaml, WhoMayDoWhat_StandsBesideTheSettings) {
  ServeConfig config;
  const Status status = ApplyServeYaml(
      "keys:\n  - {name: ci, sha256: " + std::string(64, 'a') + "}\nport: 9000\nkeys_database: off\n", "a.yaml", config);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(config.port, 9000);
  EXPECT_EQ(config.auth.keys.size(), 1u);
  EXPECT_EQ(config.auth.key_database, std::nullopt);
  EXPECT_THAT(ApplyServeYaml("keys: []\nkeys: []\n", "a.yaml", config).error().message,
              StartsWith("a.yaml:2: 'keys' stands here"));
  EXPECT_THAT(ApplyServeYaml("key: 1\n", "a.yaml", config).error().message, HasSubstr("models, policies, keys, jwt"));
}

TEST(ServeYaml, WhatOnlyGatewaysDo_IsRefused) {
  ServeConfig config;
  EXPECT_THAT(ApplyServeYaml("port: 1\njwt: {jwks_url: 'https://issuer/jwks'}\n", "a.yaml", config).error().message,
              StartsWith("a.yaml:2: jwt: jwks_url is for 'autoglm gateway'"));
  EXPECT_THAT(ApplyServeYaml("policies:\n  a: {budget: 5}\n", "a.yaml", config).error().message,
              HasSubstr("a policy has a budget, which only 'autoglm gateway' counts"));
}

}  // namespace
}  // namespace autoglm
