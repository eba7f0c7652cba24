# inventory/services/my-app.nix
{
  instances."my-app" = {
    module.name = "microvm";
    roles.guest.machines.my-host.config = {
      runtimeSecrets = {
        api-key.oemCredentialName = "API_KEY";
        db-pass.oemCredentialName = "DB_PASSWORD";
      };
      staticOEMStrings = [
        "io.systemd.credential:ENVIRONMENT=production"
      ];
    };
  };
}
