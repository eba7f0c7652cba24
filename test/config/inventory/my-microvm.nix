{ inputs }: {
  instances = {
    "my-app-vm" = {
      module.name = "microvm";
      module.input = "self";
      roles.guest = {
        machines.my-host = {
          config = {
            hypervisor = "cloud-hypervisor";
            vcpu = 2;
            mem = 1024;

            runtimeSecrets = {
              # Auto-generated secret (via clan vars)
              api-key = {
                oemCredentialName = "API_KEY";
                generateSecret = true;
              };

              # User-provided secret (from file)
              db-password = {
                oemCredentialName = "DB_PASSWORD";
                secretPath = "/run/secrets/vars/my-db/password";
                generateSecret = false;
              };
            };

            staticOEMStrings = [
              "io.systemd.credential:ENVIRONMENT=production"
            ];
          };
        };
      };
    };
  };
}
