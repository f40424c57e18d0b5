// SPDX-License-Identifier: Apache-2.0
// Training in the background of an app: the native half of org.pocketllm.Training (README.md has the other
// half).
#include <pocketllm/pocketllm.hpp>

#include <jni.h>

#include <array>
#include <atomic>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace pl = pocketllm;

namespace {

/// One training. Its thread is attached to the virtual machine for as long as it runs.
class Training {
public:
  Training(JNIEnv* env, std::string directory, std::uint64_t steps, jobject listener)
      : directory_(std::move(directory)), steps_(steps), listener_(env->NewGlobalRef(listener)) {
    env->GetJavaVM(&machine_);
    thread_ = std::thread([this] { run(); });
  }
  void request_stop() noexcept { stop_.request(); }
  void finish(JNIEnv* env) {
    stop_.request();
    thread_.join();
    env->DeleteGlobalRef(listener_);
  }

private:
  void run() {
    JNIEnv* env = nullptr;
#if defined(__ANDROID__)
    machine_->AttachCurrentThread(&env, nullptr);
#else
    machine_->AttachCurrentThread(reinterpret_cast<void**>(&env), nullptr);
#endif
    jclass const type = env->GetObjectClass(listener_);
    jmethodID const on_step = env->GetMethodID(type, "onStep", "(JF)V");
    jmethodID const on_end = env->GetMethodID(type, "onEnd", "(JLjava/lang/String;)V");
    std::uint64_t done = 0;
    std::string error;
    try {
      pl::train::give_way(10); // the app that is being looked at comes first
      auto const outcome = train([&](pl::train::StepReport const& step) {
        done = step.step + 1;
        env->CallVoidMethod(listener_, on_step, static_cast<jlong>(done), step.loss);
        return env->ExceptionCheck() == JNI_FALSE; // of the listener: stop, and let the thread end
      });
      error = outcome.reason == pl::train::Outcome::Reason::diverged ? "the loss is not a finite number" : "";
    } catch (std::exception const& exception) {
      error = exception.what();
    }
    env->ExceptionClear();
    env->CallVoidMethod(listener_, on_end, static_cast<jlong>(done),
                        error.empty() ? nullptr : env->NewStringUTF(error.c_str()));
    env->ExceptionClear();
    machine_->DetachCurrentThread();
  }

  pl::train::Outcome train(pl::train::StepCallback const& after_step) {
    auto model = pl::io::load<pl::models::Roberta<pl::f16>>(directory_);
    auto const tokenizer = pl::text::load_tokenizer(directory_);
    std::array<std::string, 2> const words{"terrible", "great"};
    using Objective = pl::train::MaskedPrompt<pl::text::AnyTokenizer>;
    Objective const objective(tokenizer, "{text} It was {mask}.", words, 64);
    std::vector<Objective::Example> examples;
    for (auto const& [text, label] : std::array<std::pair<char const*, std::size_t>, 2>{
             {{"I laughed all the way through", 1}, {"I want these two hours back", 0}}}) {
      examples.push_back(objective.encode(std::vector<pl::text::Field>{{"text", text}}, label));
    }
    std::vector<std::size_t> const lengths{examples[0].ids.size(), examples[1].ids.size()};
    constexpr float rate = 1e-5F;
    pl::Runtime runtime;
    pl::train::Trainer trainer(
        model, objective, std::span<Objective::Example const>(examples), pl::random::Gaussian{},
        pl::optimize::TwoPoint{1e-3F, 0}, pl::optimize::Sgd{rate, 0.0F},
        pl::optimize::Schedule{pl::optimize::Schedule::parse("constant"), rate, steps_, 0},
        pl::train::BatchOrder(lengths, {.batch_size = 2, .seed = 0, .group_by_length = false}), runtime);
    auto outcome = trainer.run(0, stop_, after_step);
    pl::io::save(model, directory_ + "-tuned", {directory_, {}});
    return outcome;
  }

  std::string directory_;
  std::uint64_t steps_;
  jobject listener_;
  JavaVM* machine_ = nullptr;
  pl::train::StopFlag stop_;
  std::thread thread_;
};

} // namespace

extern "C" JNIEXPORT jlong JNICALL Java_org_pocketllm_Training_start(JNIEnv* env, jobject, jstring directory,
                                                                     jlong steps, jobject listener) {
  char const* const chars = env->GetStringUTFChars(directory, nullptr);
  std::string path(chars);
  env->ReleaseStringUTFChars(directory, chars);
  return reinterpret_cast<jlong>(
      new Training(env, std::move(path), static_cast<std::uint64_t>(steps), listener));
}

extern "C" JNIEXPORT void JNICALL Java_org_pocketllm_Training_requestStop(JNIEnv*, jobject, jlong handle) {
  reinterpret_cast<Training*>(handle)->request_stop();
}

extern "C" JNIEXPORT void JNICALL Java_org_pocketllm_Training_finish(JNIEnv* env, jobject, jlong handle) {
  auto* const training = reinterpret_cast<Training*>(handle);
  training->finish(env);
  delete training;
}
