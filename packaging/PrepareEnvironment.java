import dev.ragbus.python.environment.PythonEnvironment;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Makes the Python environment ahead of the first start, in the folder that is given; prints the
 * progress, then the environment's own folder. For images and for machines without a network:
 * {@code java -cp 'ragbus.jar:lib/*' PrepareEnvironment.java FOLDER [EXTRA...]}.
 */
public final class PrepareEnvironment {
  private PrepareEnvironment() {}

  public static void main(String[] arguments) {
    List<String> extras = List.of(arguments).subList(1, arguments.length);
    PythonEnvironment.Settings settings =
        new PythonEnvironment.Settings("python3", Optional.empty(), Path.of(arguments[0]), extras);
    PythonEnvironment made = PythonEnvironment.prepare(settings, System.out::println);
    System.out.println(made.folder());
  }
}
